"""Sliding windows: a recording's timeline is what its windows would get one by one."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path

import eeglabio
import mne
import numpy as np
import pytest
import torch

from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.reading import Reader, Recording
from hms_pipeline.data.window import Window, cut
from hms_pipeline.schema import EEG_COLUMNS, SFREQ, VOTE_COLUMNS, WINDOW_SAMPLES
from hms_pipeline.scoring.recording import score_opened, score_recording, write_annotations
from hms_pipeline.scoring.sources import OwnSpectrogram, around, paused_rows, window_starts
from hms_pipeline.signal.multitaper import competition_spectrogram
from hms_pipeline.system.errors import InputError

from ...recordings import noise, raw_array, restamp, write_edf
from ...scorer import Scorer, scoring

PROBS = list(VOTE_COLUMNS)


def parquet(tmp_path: Path, seconds: float, seed: int = 0) -> tuple[Path, np.ndarray]:
    eeg = noise(seconds=seconds, seed=seed).astype(np.float32)
    path = tmp_path / "long.parquet"
    path.write_bytes(eeg_to_parquet(eeg))
    return path, eeg


def test_windows_of_a_short_recording(tmp_path: Path) -> None:
    path, eeg = parquet(tmp_path, 75)
    scores = score_recording(Scorer(), path, scoring())
    assert list(scores.timeline["start_s"]) == [0, 10, 20]
    assert list(scores.timeline["label_start_s"]) == [20, 30, 40]
    for row, start in enumerate((0, 2000, 4000)):
        alone = Scorer().predict([Window(eeg[:, start : start + WINDOW_SAMPLES])])
        np.testing.assert_allclose(scores.timeline.loc[row, PROBS].to_numpy(float), alone.probs[0])
    assert set(scores.timeline["members_used"]) == {"eegnet"}
    assert scores.spectrogram.shape[:2] == (4, 100)


def test_own_spectrogram_is_the_recipe_around_every_window(tmp_path: Path) -> None:
    path, eeg = parquet(tmp_path, 700)
    recording = Reader().open(path, None, {})
    spectrogram = OwnSpectrogram(recording, 60).rows()
    np.testing.assert_allclose(
        spectrogram, OwnSpectrogram(recording, 1000).rows(), rtol=1e-4, atol=1e-6
    )
    start = int(300 * SFREQ)  # ten minutes around its centre are [25, 625] s
    ten_minutes = torch.from_numpy(eeg[:, int(25 * SFREQ) : int(625 * SFREQ)].copy())[None]
    recipe = competition_spectrogram(ten_minutes)[0].numpy()
    ours = around(spectrogram, start, 1.0, paused_rows(recording, spectrogram.shape[2]))
    # The recipe's end rows lack a second, which the recording itself has.
    np.testing.assert_allclose(ours[..., 1:-1], recipe[..., 1:-1], rtol=1e-4, atol=1e-6)


def test_windows_share_the_spectrogram_and_notable_ones_keep_their_part_alone(
    tmp_path: Path,
) -> None:
    path, _ = parquet(tmp_path, 700)
    seen: list[Window] = []

    class Seeing(Scorer):
        def predict(self, windows, **options):
            seen.extend(windows)
            return super().predict(windows, **options)

    scores = score_recording(Seeing(), path, scoring(batch_windows=64))
    given = [w.spectrogram for w in seen if w.spectrogram is not None]
    assert len(given) > 1
    assert all(np.shares_memory(given[0].base, each) for each in given)
    kept = [n.window.spectrogram for n in scores.notable if n.window.spectrogram is not None]
    assert kept
    assert all(each.base is None for each in kept)


def test_a_long_recording_is_read_once_and_its_overview_is_of_all_of_it(monkeypatch) -> None:
    monkeypatch.setattr("hms_pipeline.scoring.sources.KEPT_ROWS", 300)
    monkeypatch.setattr("hms_pipeline.scoring.recording.SHOWN_ROWS", 60)
    eeg = noise(seconds=1200).astype(np.float32)
    block = 30 * 400  # samples of 60 s; blocks begin one second earlier, windows on whole hops
    reads: Counter[int] = Counter()

    def read(start: int, stop: int) -> np.ndarray:
        reads[start] += 1
        return cut(eeg, start, stop - start)

    recording = Recording("long", eeg.shape[1], ((100_000, 104_000),), (), {}, read)
    params = scoring(block_s=60, batch_windows=4, notable=0)
    scores = score_opened(Scorer(), recording, "long", params)
    assert {n for start, n in reads.items() if start % block == block - 200} == {1}
    spectrogram = OwnSpectrogram(recording, 60)
    whole = spectrogram.rows()
    spectrogram.rows(0, 1)
    assert reads[-200] == 3  # twice by this one, which has dropped its first block meanwhile
    known, factor = np.ma.masked_invalid(whole), -(-whole.shape[2] // 60)
    means = [known[..., k : k + factor].mean(2) for k in range(0, whole.shape[2], factor)]
    expected = np.ma.stack(means, 2).filled(np.nan)
    np.testing.assert_allclose(scores.spectrogram, expected, rtol=1e-5)
    params = scoring(block_s=60, notable=4, spectrogram_coverage=0.5)
    found = score_opened(Scorer(), recording, "long", params).notable
    assert any(n.window.spectrogram is not None for n in found)
    for near in found:  # of which some blocks were dropped meanwhile
        expected = around(whole, int(near.start_s * SFREQ), 0.5, paused_rows(recording, 599))
        np.testing.assert_array_equal(near.window.spectrogram, expected)


def test_a_recording_is_freed_with_its_spectrogram(tmp_path: Path) -> None:
    """At once: the next recording's blocks must not lie beside those of the ones before."""
    recording = Reader().open(parquet(tmp_path, 100)[0], None, {})
    spectrogram = OwnSpectrogram(recording, 60)
    block = spectrogram._block(0)
    held = [weakref.ref(thing) for thing in (recording, spectrogram, block)]
    gc.disable()
    try:
        del recording, spectrogram, block
        assert [thing() for thing in held] == [None, None, None]
    finally:
        gc.enable()


def test_ten_minutes_are_needed_around_a_window(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 650)
    scores = score_recording(Scorer(), path, scoring())
    full = scores.timeline["members_used"] == "eegnet; v2s-spec"
    centre = scores.timeline["start_s"] + 25
    np.testing.assert_array_equal(full, (centre >= 301) & (centre <= 650 - 301))
    assert full.any()
    partly = score_recording(Scorer(), path, scoring(spectrogram_coverage=0.5))
    assert (partly.timeline["members_used"] == "eegnet; v2s-spec").all()


def test_batches_change_nothing(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 130)
    one, many = (
        score_recording(Scorer(), path, scoring(batch_windows=n)).timeline for n in (1, 64)
    )
    np.testing.assert_array_equal(one[PROBS], many[PROBS])


def test_several_warnings_of_a_window_stay_apart(tmp_path: Path, monkeypatch) -> None:
    path, _ = parquet(tmp_path, 50)
    honest = Scorer.predict

    def predict(self: Scorer, windows: list, **options: object) -> object:
        scores = honest(self, windows, **options)
        scores.warnings = [("missing channels: T5, O1", "no spectrogram")] * len(windows)
        return scores

    monkeypatch.setattr(Scorer, "predict", predict)
    said = score_recording(Scorer(), path, scoring()).timeline["warnings"]
    assert set(said) == {"missing channels: T5, O1; no spectrogram"}


def test_a_silent_stretch_is_left_out_and_told(tmp_path: Path) -> None:
    eeg = noise(seconds=200).astype(np.float32)
    eeg[:, 12_000:28_000] = 0
    path = tmp_path / "long.parquet"
    path.write_bytes(eeg_to_parquet(eeg))
    scores = score_recording(Scorer(), path, scoring())
    assert 60 not in list(scores.timeline["start_s"])
    assert any("left out" in text for text in scores.warnings)
    assert "Between 60 and 140 s 4 of 16 windows left out: eeg: needs a signal." in scores.warnings
    marks = mne.read_annotations(write_annotations(scores, tmp_path / "marks.txt"))
    label_hours = scores.timeline["label_start_s"].to_numpy()
    assert not any(
        onset < 100 < onset + length
        for onset, length in zip(marks.onset, marks.duration, strict=True)
    ), label_hours


def test_annotations_cover_every_window_once(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 150)
    scores = score_recording(Scorer(), path, scoring())
    marks = mne.read_annotations(write_annotations(scores, tmp_path / "marks.txt"))
    assert marks.duration.sum() == pytest.approx(10 * len(scores.timeline))
    assert marks.onset.min() == pytest.approx(20)
    assert all(text.startswith("HMS/") for text in marks.description)


def test_notable_windows_carry_their_eeg(tmp_path: Path) -> None:
    path, eeg = parquet(tmp_path, 400)
    scores = score_recording(Scorer(), path, scoring(notable=3))
    assert 1 <= len(scores.notable) <= 3
    starts = [window.start_s for window in scores.notable]
    assert len(starts) == 1 or np.diff(sorted(starts)).min() >= 50
    for window in scores.notable:
        np.testing.assert_array_equal(
            window.window.eeg, cut(eeg, int(window.start_s * SFREQ), WINDOW_SAMPLES)
        )


def test_a_clinical_file_is_anonymous_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "Wintergreen.edf"
    write_edf(path, noise(seconds=60))
    scores = score_recording(Scorer(), path, scoring())
    assert scores.id.startswith("recording-")
    assert "Wintergreen" not in repr(scores)
    assert score_recording(Scorer(), path, scoring(), keep_names=True).id == "Wintergreen"


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 90)
    seen = []
    score_recording(Scorer(), path, scoring(), progress=lambda n, total: seen.append((n, total)))
    assert seen[-1] == (5, 5)


def test_too_short_is_refused(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 49)
    with pytest.raises(InputError, match=r"50 s.*long\.parquet has 49 s"):
        score_recording(Scorer(), path, scoring())


def test_window_starts_lie_inside() -> None:
    assert list(window_starts(WINDOW_SAMPLES, 10)) == [0]
    assert window_starts(24 * 3600 * 200, 10)[-1] + WINDOW_SAMPLES <= 24 * 3600 * 200


# ---------------------------------------------------------------- pauses, ends, constants
@pytest.mark.parametrize("pause_s", [0, 30, 600])
def test_windows_that_a_pause_interrupts_are_left_out(tmp_path: Path, pause_s: int) -> None:
    """What is before the pause and what is behind it are scored as if each were alone."""
    eeg = noise(seconds=240)
    raw = raw_array(eeg)
    path = tmp_path / "rec.set"
    marks = [np.array([value]) for value in ("boundary", 120.0, float(pause_s))]
    eeglabio.raw.export_set(
        str(path), raw.get_data(), 200, raw.ch_names, precision="double", annotations=marks
    )
    scores = score_recording(Scorer(), path, scoring())
    starts = scores.timeline["start_s"].to_numpy()
    before, behind = starts[starts < 120], starts[starts >= 120]
    assert before.tolist() == list(range(0, 80, 10))
    assert behind.tolist() == [s for s in range(120, 200 + pause_s, 10) if s >= 120 + pause_s]
    assert scores.duration_s == 240 + pause_s
    assert scores.pauses_s == ((120, 120 + pause_s),)
    assert any("windows left out: a pause interrupts them" in text for text in scores.warnings)
    rows = scores.timeline.set_index("start_s")[PROBS]
    alone = Scorer().predict([Window(eeg[:, 24_000:34_000].astype(np.float32))])
    np.testing.assert_allclose(rows.loc[120 + pause_s], alone.probs[0], atol=1e-5)


def test_a_recording_of_interrupted_stretches_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=60))
    restamp(path, [k if k < 30 else k + 100 for k in range(60)])
    with pytest.raises(InputError, match=r"without a pause.*Pauses of 100 s"):
        score_recording(Scorer(), path, scoring())


@pytest.mark.parametrize("pause_s", [0.0, 60.0])
def test_the_own_spectrogram_has_nothing_where_a_pause_is(tmp_path: Path, pause_s: float) -> None:
    path, _ = parquet(tmp_path, 700)
    recording = Reader().open(path, None, {})
    paused = replace(recording, pauses=((60_000, 60_000 + int(pause_s * 200)),))
    whole, holed = (OwnSpectrogram(r, 300).rows() for r in (recording, paused))
    rows = paused_rows(paused, whole.shape[2])
    first, last = np.flatnonzero(rows)[[0, -1]]
    assert (first, last) == (149, 149 + int(pause_s // 2))
    assert np.isnan(holed[..., rows]).all()
    np.testing.assert_array_equal(holed[..., ~rows], whole[..., ~rows])
    start = int(300 * SFREQ)
    assert around(whole, start, 1.0, np.zeros(len(rows), bool)) is not None
    assert around(holed, start, 1.0, rows) is None
    assert around(holed, start, 0.8, rows) is not None


def test_ends_get_no_spectrogram_and_every_window_a_row(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 655)
    timeline = score_recording(Scorer(), path, scoring()).timeline
    assert timeline["start_s"].tolist() == list(range(0, 601, 10))
    assert set(timeline["members_used"].iloc[[0, -1]]) == {"eegnet"}
    assert (
        timeline.loc[timeline["members_used"] == "eegnet", "warnings"] == "no spectrogram"
    ).all()


@pytest.mark.parametrize(("sfreq", "n", "windows"), [
    (200, 9980, 0), (200, 10_000, 1), (256, 12_799, 0), (256, 12_800, 1), (250, 12_500, 1),
    (200, 11_999, 1), (200, 12_000, 2), (200, 120_000, 56),
])  # fmt: skip
def test_lengths_around_a_window(tmp_path: Path, sfreq: int, n: int, windows: int) -> None:
    raw = raw_array(noise(seconds=n / sfreq, sfreq=sfreq)[:, :n], sfreq=sfreq)
    path = tmp_path / "rec_raw.fif"
    raw.save(path, verbose="error")
    if not windows:
        with pytest.raises(InputError, match="needs 50 s of EEG"):
            score_recording(Scorer(), path, scoring())
        return
    assert len(score_recording(Scorer(), path, scoring()).timeline) == windows


def test_a_constant_changes_no_spectrogram(tmp_path: Path) -> None:
    eeg = noise(seconds=100).astype(np.float32)
    constants = np.linspace(-1e5, 1e5, 20, dtype=np.float32)[:, None]
    spectrograms = []
    for k, x in enumerate((eeg, eeg + constants)):
        path = tmp_path / f"{k}.parquet"
        path.write_bytes(eeg_to_parquet(x))
        spectrograms.append(OwnSpectrogram(Reader().open(path, None, {}), 60).rows())
    plain, moved = spectrograms
    np.testing.assert_allclose(moved, plain, rtol=2e-2, atol=1e-4)


def test_without_an_ekg_and_with_a_bad_channel(tmp_path: Path) -> None:
    raw = raw_array(noise(19, seconds=60), names=EEG_COLUMNS[:19])
    raw.info["bads"] = ["T3"]
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    scores = score_recording(Scorer(), tmp_path / "rec_raw.fif", scoring())
    assert len(scores.timeline) == 2
    assert scores.source["interpolated"] == ("T3",)
    for said in ("marked bad", "interpolated from the others", "No EKG channel"):
        assert any(said in text for text in scores.warnings)
