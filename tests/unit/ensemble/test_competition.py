"""What the competition refuses of a submission."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.ensemble.competition import check_submission
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.system.errors import InputError

from .panel import make_panel


@pytest.fixture
def submission() -> pd.DataFrame:
    panel = make_panel(n_windows=30)
    table = pd.DataFrame(panel.oof[0], columns=VOTE_COLUMNS)
    table.insert(0, "eeg_id", np.arange(30) + 100)
    return table


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.assign(lpd_vote="a"), "All target values in submission must be numeric"),
        (lambda f: f.assign(lpd_vote=-0.1), "must be at least zero"),
        (lambda f: f.assign(lpd_vote=1.5), "must be no greater than one"),
        (lambda f: f.assign(lpd_vote=0.0, gpd_vote=0.0), "do not add to one within all rows"),
        (lambda f: f.assign(lpd_vote=np.nan), "has a missing one"),
        (lambda f: f.iloc[1:], "1 are missing"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "occurs twice"),
        (lambda f: f.assign(eeg_id=f["eeg_id"] + 1), "1 are unknown"),
    ],
)
def test_what_the_competition_refuses_is_refused(submission, change, sentence):
    with pytest.raises(InputError, match=sentence):
        check_submission(change(submission), submission["eeg_id"])


def test_rounding_within_allclose_passes(submission):
    check_submission(submission.round(6), submission["eeg_id"])


def test_check_submission_wants_exactly_the_columns_in_order(submission):
    check_submission(submission, submission["eeg_id"])
    for change in (
        submission.assign(extra=1),
        submission[submission.columns[::-1]],
        submission.drop(columns="lpd_vote"),
        submission.drop(columns="eeg_id"),
    ):
        with pytest.raises(InputError, match="needs the columns"):
            check_submission(change, submission["eeg_id"])
