"""The official metric and its refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from hms_pipeline.ensemble.competition import check_submission, score
from hms_pipeline.schema import SUBMISSION_COLUMNS, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError

from .panel import make_panel


@pytest.fixture
def tables():
    panel = make_panel(n_windows=30)
    ids = np.arange(30) + 100
    solution = pd.DataFrame(panel.target, columns=VOTE_COLUMNS)
    submission = pd.DataFrame(panel.oof[0], columns=VOTE_COLUMNS)
    solution.insert(0, "eeg_id", ids)
    submission.insert(0, "eeg_id", ids)
    return solution, submission


def test_score_is_the_mean_kl_matched_by_eeg_id(tables):
    solution, submission = tables
    columns = list(VOTE_COLUMNS)
    expected = entropy(solution[columns], submission[columns], axis=1).mean()
    shuffled = submission.sample(frac=1, random_state=0)
    assert score(solution, shuffled) == pytest.approx(expected)


def test_zero_where_experts_voted_is_clipped_at_1e_15_and_rows_are_not_renormalised():
    solution = pd.DataFrame([[7, 0.5, 0.5, 0, 0, 0, 0]], columns=SUBMISSION_COLUMNS)
    submission = pd.DataFrame([[7, 0.0, 1.0, 0, 0, 0, 0]], columns=SUBMISSION_COLUMNS)
    expected = 0.5 * np.log(0.5 / 1e-15) + 0.5 * np.log(0.5 / (1 - 1e-15))
    assert score(solution, submission) == pytest.approx(expected, rel=1e-12)


def test_a_perfect_answer_scores_zero_and_the_tables_stay_as_they_were(tables):
    solution, _ = tables
    before = solution.copy()
    assert score(solution, solution.copy()) == pytest.approx(0, abs=1e-12)
    pd.testing.assert_frame_equal(solution, before)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop(columns="lpd_vote"), "Missing submission column lpd_vote"),
        (lambda f: f.assign(lpd_vote="a"), "All target values in submission must be numeric"),
        (lambda f: f.assign(lpd_vote=-0.1), "must be at least zero"),
        (lambda f: f.assign(lpd_vote=1.5), "must be no greater than one"),
        (lambda f: f.assign(lpd_vote=0.0, gpd_vote=0.0), "do not add to one within all rows"),
        (lambda f: f.assign(lpd_vote=np.nan), "has a missing one"),
        (lambda f: f.drop(columns="eeg_id"), "Missing submission column eeg_id"),
        (lambda f: f.iloc[1:], "1 are missing"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "occurs twice"),
        (lambda f: f.assign(eeg_id=f["eeg_id"] + 1), "1 are unknown"),
    ],
)
def test_what_the_competition_refuses_is_refused(tables, change, sentence):
    solution, submission = tables
    with pytest.raises(InputError, match=sentence):
        score(solution, change(submission))


def test_rounding_within_allclose_passes(tables):
    solution, submission = tables
    score(solution, submission.round(6))


def test_check_submission_wants_exactly_the_columns_in_order(tables):
    _, submission = tables
    check_submission(submission, submission["eeg_id"])
    with pytest.raises(InputError, match="needs the columns"):
        check_submission(submission.assign(extra=1), submission["eeg_id"])
    with pytest.raises(InputError, match="needs the columns"):
        check_submission(submission[submission.columns[::-1]], submission["eeg_id"])
