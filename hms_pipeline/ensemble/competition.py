"""The competition's metric and file format, checked as the competition checks them.

References
----------
Kaggle, "KL divergence" metric (the official scoring code of "HMS - Harmful Brain Activity
Classification"), 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..schema import SUBMISSION_COLUMNS, VOTE_COLUMNS
from ..system.errors import InputError

EPSILON = 1e-15


def score(solution: pd.DataFrame, submission: pd.DataFrame) -> float:
    """Official score: mean over rows of Σ t ln(t / p), p clipped to [1e-15, 1 − 1e-15].

    Parameters
    ----------
    solution, submission : DataFrame
        ``eeg_id`` and six probability columns; rows are matched by ``eeg_id``.

    Returns
    -------
    float
        Nats. Clipped probabilities are not renormalised.

    Raises
    ------
    InputError
        What the official code refuses: a missing column, values that are not numeric, below
        zero or above one, rows that do not add to one; and ids that do not match.
    """
    _check_ids(submission, solution["eeg_id"], "submission")
    target = _probabilities(solution, "solution")
    probs = _probabilities(submission, "submission").loc[target.index]
    t = target.to_numpy(dtype=float)
    p = np.clip(probs.to_numpy(dtype=float), EPSILON, 1 - EPSILON)
    positive = t != 0
    terms = np.zeros_like(t)
    terms[positive] = t[positive] * np.log(t[positive] / p[positive])
    return float(np.average(terms.sum(axis=1)))


def check_submission(submission: pd.DataFrame, eeg_ids: Sequence[int] | pd.Series) -> None:
    """Check a submission as the competition does: columns, one row per test EEG, probabilities.

    Parameters
    ----------
    submission : DataFrame
        As read from ``submission.csv``.
    eeg_ids : sequence of int
        The ids of test.csv.

    Raises
    ------
    InputError
        What is wrong first, in one sentence.
    """
    if tuple(submission.columns) != SUBMISSION_COLUMNS:
        raise InputError(
            f"A submission needs the columns {list(SUBMISSION_COLUMNS)}, but has"
            f" {list(submission.columns)}. Write exactly these, in this order."
        )
    _check_ids(submission, pd.Series(eeg_ids), "submission")
    _probabilities(submission, "submission")


def _check_ids(submission: pd.DataFrame, expected: pd.Series, name: str) -> None:
    if "eeg_id" not in submission.columns:
        raise InputError(f"Missing {name} column eeg_id. Rows are matched by it; add it.")
    for ids, where in ((submission["eeg_id"], name), (expected, "solution")):
        if ids.duplicated().any():
            raise InputError(
                f"eeg_id must be unique, but {ids[ids.duplicated()].iloc[0]} occurs twice in the"
                f" {where}. Keep one row per EEG."
            )
    missing = expected[~expected.isin(submission["eeg_id"])]
    unknown = submission["eeg_id"][~submission["eeg_id"].isin(expected)]
    if len(missing) or len(unknown):
        example = f"{missing.iloc[0]} is missing" if len(missing) else f"{unknown.iloc[0]} is new"
        raise InputError(
            f"The {name} needs one row for each of the {len(expected)} EEGs, but {len(missing)}"
            f" are missing and {len(unknown)} are unknown ({example}). Predict exactly these ids."
        )


def _probabilities(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The six columns indexed by eeg_id, after the official checks in the official order."""
    for column in VOTE_COLUMNS:
        if column not in frame.columns:
            raise InputError(f"Missing {name} column {column}. Add it.")
    values = frame.set_index("eeg_id")[list(VOTE_COLUMNS)]
    if not all(pd.api.types.is_numeric_dtype(dtype) for dtype in values.dtypes):
        raise InputError(f"All target values in {name} must be numeric. Remove text and blanks.")
    if values.isna().any(axis=None):
        row = values.index[values.isna().any(axis=1)][0]
        raise InputError(
            f"All target values in {name} must be numbers, but eeg_id {row} has a missing one."
            " Give six probabilities for every row."
        )
    if values.min().min() < 0:
        raise InputError(
            f"All target values in {name} must be at least zero, but the least is"
            f" {values.min().min():g}. Pass probabilities, not logits."
        )
    if values.max().max() > 1:
        raise InputError(
            f"All target values in {name} must be no greater than one, but the greatest is"
            f" {values.max().max():g}. Pass probabilities, not votes."
        )
    sums = values.sum(axis=1)
    if not np.allclose(sums, 1):
        worst = (sums - 1).abs().idxmax()
        raise InputError(
            f"Target values in {name} do not add to one within all rows: eeg_id {worst} adds to"
            f" {sums[worst]:g}. Divide each row by its sum."
        )
    return values
