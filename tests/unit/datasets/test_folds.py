"""Folds: patients stay whole, strata stay even, known patients never move."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from hms_pipeline.config import Paths
from hms_pipeline.config.split import SplitParams
from hms_pipeline.datasets import stage
from hms_pipeline.datasets.folds import assign_folds
from hms_pipeline.schema import CLASS_LABELS, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError


def make_windows(n_patients: int, seed: int = 0) -> pd.DataFrame:
    """Patients with 1 to 30 windows, a favourite class and few or many votes."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        favourite = rng.integers(6)
        for _ in range(int(rng.geometric(0.15)) % 30 + 1):
            label = favourite if rng.random() < 0.7 else rng.integers(6)
            votes = np.zeros(6, int)
            votes[label] = 12 if rng.random() < 0.4 else 3
            rows.append((1000 + patient, CLASS_LABELS[label], *votes))
    columns = ["patient_id", "expert_consensus", *VOTE_COLUMNS]
    windows = pd.DataFrame(rows, columns=columns)
    windows.insert(0, "label_id", rng.permutation(len(windows)) + 5)
    return windows


def imbalance(windows: pd.DataFrame, fold: np.ndarray) -> float:
    """Mean over strata of the spread of shares over folds."""
    many = windows[list(VOTE_COLUMNS)].sum(axis=1) >= 10
    table = pd.crosstab(fold, [windows["expert_consensus"], many])
    return float((table / table.sum()).std().mean())


def test_every_window_once_and_no_patient_in_two_folds():
    windows = make_windows(80)
    folds = assign_folds(windows, 5, seed=0)
    assert sorted(folds["label_id"]) == sorted(windows["label_id"])
    assert (folds.groupby("patient_id")["fold"].nunique() == 1).all()
    assert set(folds["fold"]) == set(range(5))
    joined = folds.merge(windows, on="label_id")
    assert (joined["patient_id_x"] == joined["patient_id_y"]).all()


def test_as_even_as_scikit_learn():
    windows = make_windows(150)
    strata = windows["expert_consensus"] + (windows[list(VOTE_COLUMNS)].sum(axis=1) >= 10).astype(
        str
    )
    reference = np.zeros(len(windows), int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for fold, (_, held) in enumerate(splitter.split(windows, strata, windows["patient_id"])):
        reference[held] = fold
    fold_of = assign_folds(windows, 5, 0).set_index("label_id")["fold"]
    ours = fold_of[windows["label_id"]].to_numpy()
    assert imbalance(windows, ours) < 1.2 * imbalance(windows, reference)


def test_row_order_does_not_matter_but_the_seed_does():
    windows = make_windows(60)
    shuffled = windows.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(assign_folds(windows, 4, 0), assign_folds(shuffled, 4, 0))
    assert not assign_folds(windows, 4, 0).equals(assign_folds(windows, 4, 1))


def test_new_patients_join_the_folds_that_need_them():
    windows = make_windows(60)
    old = windows[windows["patient_id"] < 1040]
    before = assign_folds(old, 3, 0)
    before = before[before["fold"] != 2].copy()  # fold 2 lost all its patients
    after = assign_folds(windows, 3, 0, previous=before)
    kept = before.drop_duplicates("patient_id").set_index("patient_id")["fold"]
    now = after.drop_duplicates("patient_id").set_index("patient_id")["fold"]
    assert (now[kept.index] == kept).all()
    new = after[~after["patient_id"].isin(kept.index)]
    assert (new["fold"] == 2).mean() > 0.6


def test_too_few_patients_is_one_sentence():
    with pytest.raises(InputError, match="at least 9 patients .* got 8"):
        assign_folds(make_windows(8), 9, 0)


def test_a_fold_out_of_range_is_refused():
    previous = pd.DataFrame({"patient_id": [1000], "fold": [7]})
    with pytest.raises(InputError, match=r"0\.\.2, got 7"):
        assign_folds(make_windows(8), 3, 0, previous)


class OnlySplit:
    """The part of a recipe that the stage reads."""

    def __init__(self, n_folds: int = 3, seed: int = 0) -> None:
        self.split = SplitParams(n_folds=n_folds, seed=seed)


def write_windows(paths: Paths, windows: pd.DataFrame) -> None:
    paths.validated.mkdir(parents=True, exist_ok=True)
    windows.to_parquet(paths.windows, index=False)


def test_stage_is_sticky_even_for_patients_that_were_away(tmp_path):
    paths = Paths(artifacts=tmp_path)
    windows = make_windows(30)
    write_windows(paths, windows)
    summary = stage.run(paths, OnlySplit())
    assert sum(summary["windows"]) == len(windows)
    assert summary["new_patients"] == 30
    first = stage.read_folds(paths)
    bytes_first = paths.folds.read_bytes()
    stage.run(paths, OnlySplit())
    assert paths.folds.read_bytes() == bytes_first
    write_windows(paths, windows[windows["patient_id"] >= 1010])
    stage.run(paths, OnlySplit())
    write_windows(paths, windows)
    assert stage.run(paths, OnlySplit())["kept_patients"] == 30
    pd.testing.assert_frame_equal(stage.read_folds(paths), first)


def test_stage_starts_anew_when_the_number_of_folds_changes(tmp_path, caplog):
    paths = Paths(artifacts=tmp_path)
    write_windows(paths, make_windows(30))
    stage.run(paths, OnlySplit(3))
    stage.run(paths, OnlySplit(4))
    assert set(stage.read_folds(paths)["fold"]) == {0, 1, 2, 3}
    assert "new folds" in caplog.text


def test_stage_without_windows_names_the_command(tmp_path):
    with pytest.raises(InputError, match="hms validate"):
        stage.run(Paths(artifacts=tmp_path), OnlySplit())
