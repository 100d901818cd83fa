"""The competition's file format, checked as the competition checks it.

References
----------
Kaggle, "KL divergence" metric (the official scoring code of "HMS - Harmful Brain Activity
Classification"), 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..schema import SUBMISSION_COLUMNS
from ..system.errors import InputError


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
    _check_ids(submission["eeg_id"], pd.Series(eeg_ids))
    _check_probabilities(submission.set_index("eeg_id"))


def _check_ids(ids: pd.Series, expected: pd.Series) -> None:
    if ids.duplicated().any():
        raise InputError(
            f"eeg_id must be unique, but {ids[ids.duplicated()].iloc[0]} occurs twice in the"
            " submission. Keep one row per EEG."
        )
    missing, unknown = expected[~expected.isin(ids)], ids[~ids.isin(expected)]
    if len(missing) or len(unknown):
        example = f"{missing.iloc[0]} is missing" if len(missing) else f"{unknown.iloc[0]} is new"
        raise InputError(
            f"The submission needs one row for each of the {len(expected)} EEGs, but"
            f" {len(missing)} are missing and {len(unknown)} are unknown ({example}). Predict"
            " exactly these ids."
        )


def _check_probabilities(values: pd.DataFrame) -> None:
    """The official checks of the six columns in the official order."""
    what = "All target values in submission must be"
    if not all(pd.api.types.is_numeric_dtype(dtype) for dtype in values.dtypes):
        raise InputError(f"{what} numeric. Remove text and blanks.")
    if values.isna().any(axis=None):
        row = values.index[values.isna().any(axis=1)][0]
        raise InputError(
            f"{what} numbers, but eeg_id {row} has a missing one. Give six probabilities for every"
            " row."
        )
    low, high = values.min().min(), values.max().max()
    if low < 0:
        raise InputError(
            f"{what} at least zero, but the least is {low:g}. Pass probabilities, not logits."
        )
    if high > 1:
        raise InputError(
            f"{what} no greater than one, but the greatest is {high:g}. Pass probabilities, not"
            " votes."
        )
    sums = values.sum(axis=1)
    if not np.allclose(sums, 1):
        worst = (sums - 1).abs().idxmax()
        raise InputError(
            "Target values in submission do not add to one within all rows: eeg_id"
            f" {worst} adds to {sums[worst]:g}. Divide each row by its sum."
        )
