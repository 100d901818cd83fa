from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.schema import CLASS_LABELS, SPECTROGRAM_S, TRAIN_COLUMNS, VOTE_COLUMNS, WINDOW_S
from hms_pipeline.simulator.plan import SessionPlan, plan_test, plan_train, train_rows
from hms_pipeline.system.errors import InputError


@pytest.fixture(scope="module")
def plan() -> list[SessionPlan]:
    return plan_train(11, 600)


@pytest.fixture(scope="module")
def rows(plan: list[SessionPlan]) -> pd.DataFrame:
    table = pd.DataFrame(train_rows(plan))
    return table.assign(n_votes=table[list(VOTE_COLUMNS)].sum(axis=1))


def test_statistics_are_those_of_the_competition(rows: pd.DataFrame) -> None:
    # Kaggle, "HMS - Harmful Brain Activity Classification": train.csv.
    few = rows["n_votes"] < 10
    assert abs(few.mean() - 0.626) < 0.05
    assert not rows["n_votes"].isin([8, 9]).any()
    unanimous = rows[list(VOTE_COLUMNS)].max(axis=1) == rows["n_votes"]
    assert abs(unanimous[few].mean() - 0.71) < 0.06
    assert abs(unanimous[~few].mean() - 0.09) < 0.05
    assert rows.groupby("eeg_id").size().median() == 3
    gaps = rows.groupby("eeg_id")["eeg_label_offset_seconds"].diff().dropna()
    assert gaps.median() == 4
    assert gaps.max() < WINDOW_S  # consecutive windows overlap
    seizure = rows["expert_consensus"] == "Seizure"
    assert abs(seizure[few].mean() - 0.27) < 0.05
    assert abs(seizure[~few].mean() - 0.05) < 0.04
    assert rows.groupby("spectrogram_id")["eeg_id"].nunique().max() > 1


@pytest.mark.slow
def test_the_competitions_own_proportions() -> None:
    # Per 1,950 patients: 11,138 spectrograms, 17,089 EEGs, 106,800 rows, 20,200 windows by EEG and
    # votes, 6,313 of them with ten votes or more; 1,799 EEGs with more than one vote vector.
    plan = plan_train(20240109, 1950, "competition")
    rows = pd.DataFrame(train_rows(plan))
    windows = rows.drop_duplicates(["eeg_id", *VOTE_COLUMNS])
    many = windows[list(VOTE_COLUMNS)].sum(axis=1) >= 10
    found = len(plan), rows["eeg_id"].nunique(), len(rows), len(windows), int(many.sum())
    np.testing.assert_allclose(found, (11_138, 17_089, 106_800, 20_200, 6_313), rtol=0.05)
    assert rows.groupby("eeg_id").size().median() == 3
    few = rows[list(VOTE_COLUMNS)].sum(axis=1) < 10
    assert abs(few.mean() - 0.626) < 0.05
    assert abs((windows.groupby("eeg_id").size() > 1).sum() - 1_799) < 400


def test_unknown_proportions_are_named() -> None:
    with pytest.raises(InputError, match="one of .*competition.*'even'.*, but 'odd' was given"):
        plan_train(1, 3, "odd")


def test_small_plans_hold_every_class_on_both_sides() -> None:
    rows = pd.DataFrame(train_rows(plan_train(20240109, 60)))
    few = rows[list(VOTE_COLUMNS)].sum(axis=1) < 10
    for side in (rows[few], rows[~few]):
        assert set(side["expert_consensus"]) == set(CLASS_LABELS)


def test_rows_are_a_train_csv(rows: pd.DataFrame, plan: list[SessionPlan]) -> None:
    assert tuple(rows.columns[:-1]) == TRAIN_COLUMNS
    assert rows["label_id"].is_unique
    assert (rows.groupby("eeg_id")["patient_id"].nunique() == 1).all()
    assert (rows.groupby("eeg_id")["spectrogram_id"].nunique() == 1).all()
    votes = rows[list(VOTE_COLUMNS)].to_numpy()
    planned = [w.votes for session in plan for eeg in session.eegs for w in eeg.windows]
    assert votes.tolist() == [list(v) for v in planned]
    named = rows["expert_consensus"].map(CLASS_LABELS.index).to_numpy()
    assert (votes[np.arange(len(votes)), named] == votes.max(axis=1)).all()


def test_windows_lie_inside_and_share_their_centre(plan: list[SessionPlan]) -> None:
    for session in plan:
        assert session.duration_s % 2 == 0
        for eeg in session.eegs:
            for window in eeg.windows:
                offset = eeg.spectrogram_offset_s + window.offset_s
                assert offset % 2 == 0
                assert window.offset_s + WINDOW_S <= eeg.duration_s
                assert offset + SPECTROGRAM_S <= session.duration_s
                centre = eeg.start_s + window.offset_s + WINDOW_S / 2
                assert centre == offset + SPECTROGRAM_S / 2
            assert eeg.start_s + eeg.duration_s <= session.duration_s


def test_more_patients_leave_the_first_ones_alone() -> None:
    few, many = plan_train(3, 4), plan_train(3, 9)
    assert many[: len(few)] == few
    assert plan_train(4, 4) != few


def test_test_set_has_other_patients_and_one_window_each() -> None:
    train = plan_train(3, 9)
    test = plan_test(3, 7, train)
    assert len(test) == 7
    assert all(len(s.eegs) == 1 and len(s.eegs[0].windows) == 1 for s in test)
    assert {s.patient for s in test}.isdisjoint(s.patient for s in train)
    assert min(sum(s.eegs[0].windows[0].votes) for s in test) >= 10


@pytest.mark.parametrize("seed", [0, 1, 2, 7, 35, 20240109])
def test_no_id_is_in_both_sets(seed: int) -> None:
    train = plan_train(seed, 100)
    test = plan_test(seed, 16, train)
    for name in ("patient_id", "spectrogram_id"):
        assert {getattr(s, name) for s in test}.isdisjoint(getattr(s, name) for s in train)
    eegs = [{eeg.eeg_id for s in plan for eeg in s.eegs} for plan in (train, test)]
    assert eegs[0].isdisjoint(eegs[1])
    assert len({s.patient_id for s in test}) == 16


def test_ids_that_meet_nothing_do_not_depend_on_the_training_set() -> None:
    alone = plan_test(20240109, 16, [])
    assert plan_test(20240109, 16, plan_train(20240109, 200)) == alone
    other, shared = plan_test(7, 16, []), plan_test(7, 16, plan_train(7, 100))
    assert sum(a != b for a, b in zip(other, shared, strict=True)) == 1  # patient 8073
