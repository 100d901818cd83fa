"""Sliding windows: a recording's timeline is what its windows would get one by one."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
import torch

from hms_pipeline.data.clinical_edf import write_edf
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.window import Window, cut
from hms_pipeline.schema import SFREQ, VOTE_COLUMNS, WINDOW_SAMPLES
from hms_pipeline.scoring.recording import score_recording, write_annotations
from hms_pipeline.scoring.sources import ParquetRecording, around, own_spectrogram, window_starts
from hms_pipeline.signal.multitaper import competition_spectrogram
from hms_pipeline.system.errors import InputError

from ...scorer import Scorer, scoring
from ..data.test_clinical import noise

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
    recording = ParquetRecording.open(path)
    spectrogram = own_spectrogram(recording, block_s=60)
    np.testing.assert_allclose(spectrogram, own_spectrogram(recording, 1000), rtol=1e-4, atol=1e-6)
    start = int(300 * SFREQ)  # ten minutes around its centre are [25, 625] s
    ten_minutes = torch.from_numpy(eeg[:, int(25 * SFREQ) : int(625 * SFREQ)].copy())[None]
    recipe = competition_spectrogram(ten_minutes)[0].numpy()
    ours = around(spectrogram, start, 1.0)
    # The recipe's end rows lack a second, which the recording itself has.
    np.testing.assert_allclose(ours[..., 1:-1], recipe[..., 1:-1], rtol=1e-4, atol=1e-6)


def test_ten_minutes_are_needed_around_a_window(tmp_path: Path) -> None:
    path, _ = parquet(tmp_path, 650)
    scores = score_recording(Scorer(), path, scoring())
    full = scores.timeline["members_used"] == "eegnet;v2s-spec"
    centre = scores.timeline["start_s"] + 25
    np.testing.assert_array_equal(full, (centre >= 301) & (centre <= 650 - 301))
    assert full.any()
    partly = score_recording(Scorer(), path, scoring(spectrogram_coverage=0.5))
    assert (partly.timeline["members_used"] == "eegnet;v2s-spec").all()


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
            window.eeg, cut(eeg, int(window.start_s * SFREQ), WINDOW_SAMPLES)
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
