from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hms_pipeline.data.competition import eeg_path, spectrogram_path
from hms_pipeline.data.own import cut as cutting
from hms_pipeline.data.own.cut import Cut, cut_recording, make_id, spectrogram_of
from hms_pipeline.data.recording import read_eeg, read_spectrogram
from hms_pipeline.data.window import WindowReader
from hms_pipeline.data.window import cut as cut_array
from hms_pipeline.schema import EEG_COLUMNS, EKG, SPECTROGRAM_ROWS, WINDOW_SAMPLES
from hms_pipeline.signal.multitaper import competition_spectrogram
from hms_pipeline.system.errors import InputError
from tests.own_recordings import noise

LPD = (0, 1, 0, 0, 0, 0)
LABEL = 4000  # samples from a window's start to its label's


@dataclass
class Memory:
    """A recording in memory that notes how much is read of it."""

    eeg: np.ndarray
    pauses: tuple[tuple[int, int], ...] = ()
    name: str = "rec.edf"
    warnings: tuple[str, ...] = ()
    reads: list[int] = field(default_factory=list)

    @property
    def n_times(self) -> int:
        return self.eeg.shape[1]

    def read(self, start: int, stop: int) -> np.ndarray:
        self.reads.append(stop - start)
        return cut_array(self.eeg, start, stop - start)


@pytest.fixture(scope="module")
def twelve_minutes() -> np.ndarray:
    return noise(1, 720).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind in ("eegs", "spectrograms"):
        (tmp_path / f"train_{kind}").mkdir()
    return tmp_path


def run(recording: Memory, windows: list[int], root: Path, missing: float = 1.0) -> Cut:
    """Cut windows that begin at these samples."""
    cut = Cut()
    votes = {window + LABEL: LPD for window in sorted(windows)}
    cut_recording(recording, votes, "content", root, missing, cut)
    return cut


def test_a_ten_minute_recording_has_the_published_spectrogram(root: Path) -> None:
    eeg = noise(0, 600).astype(np.float32)
    (row,) = run(Memory(eeg), [55_000], root, missing=0.0).rows
    written = read_spectrogram(spectrogram_path(root, row["spectrogram_id"]))
    expected = competition_spectrogram(torch.from_numpy(eeg)[None])[0].numpy()
    assert written.shape == (4, 100, SPECTROGRAM_ROWS)
    np.testing.assert_allclose(written, expected, rtol=1e-4, atol=1e-5)
    times = pd.read_parquet(spectrogram_path(root, row["spectrogram_id"]))["time"]
    assert times.tolist() == list(range(1, 600, 2))


def test_samples_and_centres_of_windows(root: Path, twelve_minutes: np.ndarray) -> None:
    windows = [54_000, 54_777, 60_001, 78_000]
    cut = run(Memory(twelve_minutes), windows, root)
    reader = WindowReader(root)
    assert [row["start_s"] for row in cut.rows] == [(w + LABEL) / 200 for w in windows]
    for row, window in zip(cut.rows, windows, strict=True):
        found = reader.read(row)
        assert np.array_equal(found.eeg, twelve_minutes[:, window : window + WINDOW_SAMPLES])
        assert row["spectrogram_label_offset_seconds"] % 2 == 0
        around = spectrogram_of(Memory(twelve_minutes), window - 55_000, SPECTROGRAM_ROWS)
        # The spectrogram's rows are 2 s apart, so its centre is at most 1 s off.
        away = [
            np.nanmean(np.abs(np.log(found.spectrogram[..., 40:260]) - np.log(around[..., a:b])))
            for a, b in ((40, 260), (44, 264), (36, 256))
        ]
        assert away[0] == min(away)


def test_windows_that_overlap_share_files(root: Path, twelve_minutes: np.ndarray) -> None:
    rows = pd.DataFrame(run(Memory(twelve_minutes), [0, 400, 9_999, 19_999], root).rows)
    assert rows["eeg_id"].nunique() == 2
    assert rows["eeg_sub_id"].tolist() == [0, 1, 2, 0]
    assert rows["eeg_label_offset_seconds"].tolist() == [0.0, 2.0, 49.995, 0.0]
    assert rows["spectrogram_id"].nunique() == 1
    assert rows["spectrogram_sub_id"].tolist() == [0, 1, 2, 3]
    assert read_eeg(eeg_path(root, rows["eeg_id"][0])).shape[1] == 9_999 + WINDOW_SAMPLES


def test_windows_at_both_ends(root: Path, twelve_minutes: np.ndarray) -> None:
    last = twelve_minutes.shape[1] - WINDOW_SAMPLES
    cut = run(Memory(twelve_minutes), [-1, 0, last, last + 1], root)
    assert [row["start_s"] for row in cut.rows] == [20.0, (last + LABEL) / 200]
    assert [fault.kind for fault in cut.left_out] == ["outside the recording"] * 2
    assert {path.name for path in root.rglob("*.parquet")} == {path.name for path in cut.paths}


def test_under_ten_minutes_is_left_out_by_the_recipes_share(
    root: Path, twelve_minutes: np.ndarray
) -> None:
    windows = [42_000, 43_000, 55_000, 79_000, 92_000]  # 65, 60, 0, 0, 65 s of ten minutes lack
    cut = run(Memory(twelve_minutes), windows, root, missing=0.1)
    assert [row["start_s"] * 200 - LABEL for row in cut.rows] == [43_000, 55_000, 79_000]
    assert [fault.kind for fault in cut.left_out] == ["under ten minutes"] * 2
    assert "65 s of the ten minutes" in cut.left_out[0].reason


def test_a_window_across_a_pause_is_left_out(root: Path, twelve_minutes: np.ndarray) -> None:
    paused = twelve_minutes.copy()
    paused[:, 66_000:66_010] = np.nan
    cut = run(Memory(paused), [55_000, 56_001, 66_009, 66_010], root, missing=0.1)
    assert [row["start_s"] * 200 - LABEL for row in cut.rows] == [55_000, 66_010]
    assert [fault.kind for fault in cut.left_out] == ["pause"] * 2
    assert [row["eeg_sub_id"] for row in cut.rows] == [0, 0]


@pytest.mark.parametrize("pause", [(66_000, 66_010), (66_000, 66_000)])
def test_a_window_across_a_known_pause_is_left_out(
    root: Path, twelve_minutes: np.ndarray, pause: tuple[int, int]
) -> None:
    """Two equal numbers: an unknown time passed there, and no sample is missing."""
    windows = [55_999, 56_001, pause[0] - 1, pause[1]]
    cut = run(Memory(twelve_minutes, (pause,)), windows, root, missing=0.1)
    assert [row["start_s"] * 200 - LABEL for row in cut.rows] == [55_999, pause[1]]
    assert [fault.kind for fault in cut.left_out] == ["pause"] * 2
    spectrogram = read_spectrogram(spectrogram_path(root, cut.rows[0]["spectrogram_id"]))
    starts = 55_999 - 55_000 + 400 * np.arange(spectrogram.shape[2])
    touched = (starts - 200 < pause[1]) & (starts + 600 > pause[0])
    assert np.isnan(spectrogram[..., touched]).all()
    assert np.isfinite(spectrogram[..., ~touched & (starts + 400 <= 144_000)]).all()


def test_an_eeg_without_a_whole_window_is_not_written(root: Path) -> None:
    eeg = noise(2, 60).astype(np.float32)
    eeg[3, 6_000] = np.inf
    cut = run(Memory(eeg), [0], root)
    assert not cut.rows
    assert "['P3']" in cut.left_out[0].reason
    assert not list(root.rglob("*.parquet"))


def test_a_recording_without_ekg_keeps_its_windows(root: Path) -> None:
    eeg = noise(3, 60).astype(np.float32)
    eeg[EEG_COLUMNS.index(EKG)] = np.nan
    (row,) = run(Memory(eeg), [0], root).rows
    written = read_eeg(eeg_path(root, row["eeg_id"]))
    assert np.array_equal(written[:19], eeg[:19, :WINDOW_SAMPLES])
    assert not written[19].any()


def test_a_day_is_read_in_blocks(
    root: Path, twelve_minutes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "LONGEST_EEG", 30_000)
    monkeypatch.setattr(cutting, "LONGEST_SPECTROGRAM", 60_000)
    recording = Memory(twelve_minutes)
    rows = pd.DataFrame(run(recording, list(range(0, 134_000, 2_000)), root).rows)
    assert max(recording.reads) <= 61_000
    assert len(rows) == 67
    assert rows.groupby("eeg_id")["eeg_label_offset_seconds"].max().max() <= 150
    assert rows.groupby("spectrogram_id")["spectrogram_label_offset_seconds"].max().max() <= 300
    assert (rows.groupby("eeg_id")["spectrogram_id"].nunique() == 1).all()


@settings(max_examples=20)
@given(windows=st.lists(st.integers(-5_000, 40_000), min_size=1, max_size=12, unique=True))
def test_every_window_is_a_row_or_a_fault(
    windows: list[int], tmp_path_factory: pytest.TempPathFactory, twelve_minutes: np.ndarray
) -> None:
    root = tmp_path_factory.mktemp("drawn")
    for kind in ("eegs", "spectrograms"):
        (root / f"train_{kind}").mkdir()
    eeg = np.ascontiguousarray(twelve_minutes[:, :30_000])
    cut = run(Memory(eeg), windows, root)
    kept = {round(row["start_s"] * 200) - LABEL for row in cut.rows}
    gone = {round(fault.start_s * 200) - LABEL for fault in cut.left_out}
    assert kept == {w for w in windows if 0 <= w <= 20_000}
    assert gone == set(windows) - kept
    assert len({row["label_id"] for row in cut.rows}) == len(cut.rows)
    reader = WindowReader(root)
    for row in cut.rows:
        window = round(row["start_s"] * 200) - LABEL
        assert np.array_equal(reader.read(row, ["eeg"]).eeg, eeg[:, window : window + 10_000])


def test_numbers_are_whole_for_every_reader_of_tables() -> None:
    numbers = {make_id("label", "content", k) for k in range(1000)}
    assert len(numbers) == 1000
    assert max(numbers) < 2**53
    assert make_id("label", "content", 1) != make_id("label", "content1", "")


def test_a_number_that_is_taken_is_refused(root: Path) -> None:
    eeg = noise(4, 60).astype(np.float32)
    run(Memory(eeg), [0], root)
    with pytest.raises(InputError, match="by chance"):
        run(Memory(eeg), [0], root)
