from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.windows import simulate_arrays
from hms_pipeline.schema import (
    EEG_COLUMNS,
    SPECTROGRAM_COLUMNS,
    SUBMISSION_COLUMNS,
    TEST_COLUMNS,
    TRAIN_COLUMNS,
    VOTE_COLUMNS,
)
from hms_pipeline.simulator.sample import write_sample
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import hash_files


def test_layout_columns_and_types(sample: Path) -> None:
    train = pd.read_csv(sample / "train.csv")
    assert tuple(train.columns) == TRAIN_COLUMNS
    for kind in ("eeg", "spectrogram"):
        names = {int(path.stem) for path in (sample / f"train_{kind}s").iterdir()}
        assert names == set(train[f"{kind}_id"])
    eeg = pq.read_table(sample / "train_eegs" / f"{train['eeg_id'][0]}.parquet")
    assert tuple(eeg.column_names) == EEG_COLUMNS
    assert set(eeg.schema.types) == {pa.float32()}
    assert eeg.num_rows >= 10_000
    path = sample / "train_spectrograms" / f"{train['spectrogram_id'][0]}.parquet"
    spectrogram = pq.read_table(path)
    assert tuple(spectrogram.column_names) == SPECTROGRAM_COLUMNS
    assert set(spectrogram.schema.types[1:]) == {pa.float32()}
    assert spectrogram.schema.types[0] == pa.int64()
    assert spectrogram["time"].to_pylist()[:3] == [1, 3, 5]


def test_test_set_is_exactly_one_window(sample: Path) -> None:
    test = pd.read_csv(sample / "test.csv")
    assert tuple(test.columns) == TEST_COLUMNS
    eeg = pq.read_table(sample / "test_eegs" / f"{test['eeg_id'][0]}.parquet")
    assert eeg.num_rows == 10_000
    path = sample / "test_spectrograms" / f"{test['spectrogram_id'][0]}.parquet"
    spectrogram = pq.read_table(path)
    assert spectrogram.num_rows == 300
    assert spectrogram.schema.field("time").type == pa.int16()
    submission = pd.read_csv(sample / "sample_submission.csv")
    assert tuple(submission.columns) == SUBMISSION_COLUMNS
    assert np.allclose(submission[list(VOTE_COLUMNS)].sum(axis=1), 1)


def test_windows_in_memory_are_those_in_the_files(sample: Path) -> None:
    arrays = simulate_arrays(patients=1, seed=5, limit=1, workers=1)
    train = pd.read_csv(sample / "train.csv").set_index("label_id")
    row = train.loc[arrays.label_id[0]]
    table = pq.read_table(sample / "train_eegs" / f"{row.eeg_id}.parquet")
    start = int(200 * row.eeg_label_offset_seconds)
    eeg = np.stack([column.to_numpy() for column in table.columns])[:, start : start + 10_000]
    here = np.isfinite(eeg)
    assert np.array_equal(arrays.eeg[0][here], eeg[here])
    assert arrays.votes[0].tolist() == row[list(VOTE_COLUMNS)].tolist()
    assert arrays.spectrogram.shape == (1, 4, 100, 300)


@pytest.mark.slow
def test_bytes_depend_neither_on_workers_nor_on_the_run(sample: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    again = tmp_path / "data"
    write_sample(
        again,
        patients=3,
        test_windows=1,
        seed=5,
        workers=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert _content(again) == _content(sample)
    assert calls[-1][0] == calls[-1][1] == len(calls)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="other files"):
        write_sample(tmp_path, patients=3, test_windows=1, seed=0)
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(InputError, match="is a file"):
        write_sample(tmp_path / "thesis.tex", patients=3, test_windows=1, seed=0)


def test_an_unknown_source_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'tides' in leave_out. Choose one of \["):
        write_sample(tmp_path / "data", patients=3, test_windows=1, seed=0, leave_out=("tides",))
    assert not (tmp_path / "data").exists()


def test_leaving_a_source_out_keeps_the_plan_and_changes_the_signal() -> None:
    whole = simulate_arrays(patients=1, seed=5, limit=1, workers=1)
    without = simulate_arrays(patients=1, seed=5, limit=1, leave_out=("height",), workers=1)
    assert np.array_equal(whole.votes, without.votes)
    assert np.array_equal(whole.label_id, without.label_id)
    assert not np.array_equal(whole.eeg, without.eeg)


def _content(folder: Path) -> str:
    return hash_files((path for path in folder.rglob("*") if path.is_file()), folder)
