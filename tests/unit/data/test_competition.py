"""The competition's tables: types, and one sentence for each way to be wrong."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.data.competition import read_test, read_train
from hms_pipeline.schema import TRAIN_COLUMNS
from hms_pipeline.system.errors import InputError

ROW = (1, 0, 0.0, 2, 0, 0.0, 3, 4, "LPD", 0, 3, 0, 0, 0, 1)


def _train(folder: Path, **changes: object) -> Path:
    table = pd.DataFrame([ROW], columns=list(TRAIN_COLUMNS)).assign(**changes)
    table.to_csv(folder / "train.csv", index=False)
    return folder


def test_types(tmp_path):
    train = read_train(_train(tmp_path))
    assert tuple(train.columns) == TRAIN_COLUMNS
    assert train["eeg_id"].dtype == train["other_vote"].dtype == "int64"
    assert train["eeg_label_offset_seconds"].dtype == "float64"


def test_whole_floats_are_integers(tmp_path):
    assert read_train(_train(tmp_path, lpd_vote=3.0))["lpd_vote"].tolist() == [3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"eeg_id": "x"}, "whole numbers in eeg_id"),
        ({"lpd_vote": 1.5}, "whole numbers in lpd_vote"),
        ({"eeg_label_offset_seconds": "soon"}, "finite seconds"),
        ({"expert_consensus": "Sezure"}, "one of"),
    ],
)
def test_wrong_values_name_column_and_row(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_train(_train(tmp_path, **changes))


def test_missing_column(tmp_path):
    pd.DataFrame({"eeg_id": [1]}).to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(InputError, match="needs the columns"):
        read_train(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary\x00", b'a,b\n"1,2\n3'])
def test_not_csv(tmp_path, content):
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(InputError, match="train.csv"):
        read_train(tmp_path)


def test_missing_folder_and_missing_file(tmp_path):
    with pytest.raises(InputError, match="Data folder"):
        read_train(tmp_path / "nowhere")
    with pytest.raises(InputError, match="test.csv is needed"):
        read_test(tmp_path)
