"""Windows: the same stretch of EEG and spectrogram, whatever the recording's length."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data import window as window_module
from hms_pipeline.data.competition import eeg_path, spectrogram_path
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.window import WindowReader, cut
from hms_pipeline.system.errors import InputError

N_SAMPLES, N_ROWS = 14_000, 330


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Samples and rows hold their own number, so that a slice tells where it is from."""
    eeg = np.tile(np.arange(N_SAMPLES, dtype=np.float32), (20, 1))
    spectrogram = np.tile(np.arange(N_ROWS, dtype=np.float32), (4, 100, 1))
    for split in ("train", "test"):
        for path, content in (
            (eeg_path(tmp_path, 1, split), eeg_to_parquet(eeg)),
            (spectrogram_path(tmp_path, 2, split), spectrogram_to_parquet(spectrogram)),
        ):
            path.parent.mkdir()
            path.write_bytes(content)
    return tmp_path


def _row(eeg_offset: float, spectrogram_offset: float) -> dict[str, float]:
    return {
        "eeg_id": 1,
        "spectrogram_id": 2,
        "eeg_label_offset_seconds": eeg_offset,
        "spectrogram_label_offset_seconds": spectrogram_offset,
    }


@pytest.mark.parametrize(("offset", "row"), [(0.0, 0), (6.0, 3), (7.0, 3), (20.0, 10)])
def test_offsets_follow_the_competition(folder, offset, row):
    got = WindowReader(folder).read(_row(offset, offset))
    np.testing.assert_array_equal(got.eeg[0], 200 * offset + np.arange(10_000))
    np.testing.assert_array_equal(got.spectrogram[3, 99], row + np.arange(300))
    assert got.eeg.dtype == got.spectrogram.dtype == np.float32


def test_rows_of_any_kind_give_the_same(folder):
    row = _row(4.0, 8.0)
    reader = WindowReader(folder)
    expected = reader.read(row)
    for same in (pd.Series(row), namedtuple("Row", row)(**row)):
        np.testing.assert_array_equal(reader.read(same).eeg, expected.eeg)
        np.testing.assert_array_equal(reader.read(same).spectrogram, expected.spectrogram)


def test_without_offsets_the_centre_is_taken(folder):
    got = WindowReader(folder, "test").read({"eeg_id": 1, "spectrogram_id": 2})
    assert got.eeg[0, 5000] == N_SAMPLES / 2
    assert got.spectrogram[0, 0, 150] == N_ROWS / 2


def test_past_the_end_is_nan(folder):
    got = WindowReader(folder).read(_row(30.0, 100.0))
    assert np.isnan(got.eeg[:, 8000:]).all()
    assert np.isfinite(got.eeg[:, :8000]).all()
    assert np.isnan(got.spectrogram[..., 280:]).all()
    assert np.isfinite(got.spectrogram[..., :280]).all()


@pytest.mark.parametrize("start", [-20, -3, 0, 2, 8, 50])
def test_cut_keeps_every_sample_in_its_place(start):
    whole = np.arange(10.0)[None]
    got = cut(whole, start, 6)[0]
    for k, value in enumerate(got):
        inside = 0 <= start + k < 10
        assert value == start + k if inside else np.isnan(value)


def test_a_recording_is_read_once_for_its_windows(folder, monkeypatch):
    calls = []
    monkeypatch.setattr(
        window_module, "read_eeg", lambda path: calls.append(path) or np.zeros((20, 20_000))
    )
    reader = WindowReader(folder)
    for offset in range(5):
        reader.read(_row(float(offset), 0.0))
    assert len(calls) == 1


def test_a_missing_file_is_one_sentence(folder):
    with pytest.raises(InputError, match="9.parquet is needed"):
        WindowReader(folder).read(_row(0.0, 0.0) | {"eeg_id": 9})
