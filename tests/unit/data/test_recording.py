"""Reading recordings: whole, sliced, damaged."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.recording import RecordingError, read_eeg, read_spectrogram, readable
from hms_pipeline.schema import EEG_COLUMNS, SPECTROGRAM_COLUMNS
from hms_pipeline.system.errors import InputError

REAL = Path(__file__).parents[3] / ".." / "shared" / "real" / "iiic"


def _eeg(n_times: int = 900) -> np.ndarray:
    rng = np.random.default_rng(0)
    eeg = rng.normal(0, 50, (20, n_times)).astype(np.float32)
    eeg[3, 5:9] = np.nan
    return eeg


def _write(path: Path, columns: dict[str, pa.Array], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_bytes_give_the_same_samples_back():
    eeg = _eeg()
    np.testing.assert_array_equal(read_eeg(eeg_to_parquet(eeg)), eeg)


def test_spectrogram_bytes_give_the_same_values_back():
    spectrogram = np.random.default_rng(1).random((4, 100, 310), np.float32)
    np.testing.assert_array_equal(
        read_spectrogram(spectrogram_to_parquet(spectrogram)), spectrogram
    )


def test_spectrogram_order_is_region_then_frequency(tmp_path):
    values = {
        name: pa.array([float(k)], pa.float32()) for k, name in enumerate(SPECTROGRAM_COLUMNS)
    }
    path = _write(tmp_path / "1.parquet", values | {"time": pa.array([1], pa.int16())})
    spectrogram = read_spectrogram(path)
    np.testing.assert_array_equal(spectrogram[..., 0], np.arange(1, 401).reshape(4, 100))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, None), (0, 10), (250, 700), (890, 2000), (899, 900)]
)
def test_a_slice_equals_the_slice_of_the_whole(tmp_path, start, stop):
    eeg = _eeg()
    columns = {name: pa.array(row) for name, row in zip(EEG_COLUMNS, eeg, strict=True)}
    path = _write(tmp_path / "1.parquet", columns, row_group_size=200)
    np.testing.assert_array_equal(read_eeg(path, start, stop), eeg[:, start:stop])


def test_only_the_row_groups_that_are_needed_are_read(tmp_path, monkeypatch):
    columns = {name: pa.array(np.zeros(900, np.float32)) for name in EEG_COLUMNS}
    path = _write(tmp_path / "1.parquet", columns, row_group_size=200)
    asked = []
    read = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, **options: asked.append(groups) or read(self, groups, **options),
    )
    read_eeg(path, 250, 500)
    assert asked == [[1, 2]]


def test_columns_in_another_order_and_nulls(tmp_path):
    columns = {name: pa.array([float(k), None], pa.float32()) for k, name in enumerate(EEG_COLUMNS)}
    path = _write(tmp_path / "1.parquet", dict(reversed(columns.items())))
    eeg = read_eeg(path)
    np.testing.assert_array_equal(eeg[:, 0], np.arange(20))
    assert np.isnan(eeg[:, 1]).all()


def _damaged(tmp_path: Path, fault: str) -> Path | bytes:
    good = eeg_to_parquet(_eeg())
    floats = {name: pa.array([1.0], pa.float32()) for name in EEG_COLUMNS}
    path = tmp_path / "7.parquet"
    if fault == "truncated":
        return good[: len(good) // 2]
    if fault == "text":
        path.write_text("Fp1,F3\n1,2\n")
        return path
    if fault == "folder":
        path.mkdir()
        return path
    if fault == "flipped":
        # Inside the first page's data: found by its checksum only.
        return good[:500] + bytes([good[500] ^ 1]) + good[501:]
    if fault == "columns":
        return _write(path, {name: floats[name] for name in EEG_COLUMNS[:-1]})
    if fault == "dtype":
        return _write(path, floats | {"Cz": pa.array(["a"])})
    if fault == "rows":
        return _write(path, {name: pa.array([], pa.float32()) for name in EEG_COLUMNS})
    return path  # missing


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("missing", "missing_file"),
        ("truncated", "unreadable_file"),
        ("text", "unreadable_file"),
        ("folder", "unreadable_file"),
        ("flipped", "unreadable_file"),
        ("columns", "wrong_columns"),
        ("dtype", "wrong_dtype"),
        ("rows", "empty_file"),
    ],
)
def test_damage_is_one_sentence_that_names_no_folder(tmp_path, fault, expected):
    with pytest.raises(RecordingError) as caught:
        read_eeg(_damaged(tmp_path, fault))
    assert caught.value.fault == expected
    assert isinstance(caught.value, InputError)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_damage_never_gives_another_error():
    good = eeg_to_parquet(_eeg(50))
    rng = np.random.default_rng(3)
    for _ in range(300):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(256)
        try:
            read_eeg(bytes(bad))
        except InputError:
            continue


@pytest.mark.skipif(not REAL.is_dir(), reason="no real recordings in ../shared/real")
def test_real_windows_are_50_s_in_microvolts():
    for path in sorted(REAL.glob("*.parquet")):
        eeg = read_eeg(path)
        assert eeg.shape == (20, 10_000)
        assert 5 < np.median(np.abs(eeg[:19])) < 1000


@pytest.mark.parametrize("shape", [(19, 100), (100,)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(InputError, match="shape"):
        eeg_to_parquet(np.zeros(shape))
    with pytest.raises(InputError, match="shape"):
        spectrogram_to_parquet(np.zeros(shape))


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_columns_may_have_several_precisions(tmp_path, kind):
    eeg = np.round(_eeg())
    eeg = np.nan_to_num(eeg)
    eeg[3, 5:9] = np.nan
    columns = {name: pa.array(row) for name, row in zip(EEG_COLUMNS, eeg, strict=True)}
    columns["T3"] = pa.array(eeg[EEG_COLUMNS.index("T3")].astype(kind))
    path = _write(tmp_path / "1.parquet", columns)
    np.testing.assert_array_equal(read_eeg(path), eeg)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "1.parquet")
    with pytest.raises(RecordingError, match=r"1\.parquet must be a regular file"):
        read_eeg(tmp_path / "1.parquet")


@pytest.mark.parametrize(
    ("error", "fault", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "gone"), "missing_file", "is needed in train_eegs, but"),
        (PermissionError(errno.EACCES, "no"), "unreadable_file", "no permission to read it"),
        (IsADirectoryError(errno.EISDIR, "no"), "unreadable_file", "it is a folder"),
        (OSError(errno.EIO, "disk"), "unreadable_file", "it cannot be read"),
        (MemoryError(), "unreadable_file", "needs more memory than reading may take"),
        (pa.ArrowInvalid("anything"), "unreadable_file", "it is damaged"),
    ],
)
def test_the_system_and_arrow_fail_in_one_sentence(error: Exception, fault: str, said: str) -> None:
    with (
        pytest.raises(RecordingError, match=rf"1\.parquet .*{said}") as found,
        readable("1.parquet", "train_eegs"),
    ):
        raise error
    assert found.value.fault == fault
