"""train.csv as it came → a table that rules can look at, rows and all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.competition import OFFSET_COLUMNS, whole_numbers
from ..schema import TRAIN_COLUMNS, VOTE_COLUMNS
from ..system.errors import InputError

ID_COLUMNS = ("eeg_id", "spectrogram_id", "label_id", "patient_id")
SUB_COLUMNS = ("eeg_sub_id", "spectrogram_sub_id")


def normalise(table: pd.DataFrame) -> pd.DataFrame:
    """Ids as int64, offsets and votes as numbers (NaN where they are not), rows from 0.

    Parameters
    ----------
    table : DataFrame
        train.csv with all its columns.

    Raises
    ------
    InputError
        An id is not a whole number: without it nothing can be said about the row.
    """
    out = table[list(TRAIN_COLUMNS)].reset_index(drop=True)
    for name in (*ID_COLUMNS, *SUB_COLUMNS):
        out[name], whole = whole_numbers(out[name])
        if name in ID_COLUMNS and not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise InputError(
                f"train.csv needs whole numbers in {name}, but row {row} has"
                f" {table[name].iloc[row]!r}. Correct that row."
            )
    for name in (*OFFSET_COLUMNS, *VOTE_COLUMNS):
        out[name] = pd.to_numeric(out[name], errors="coerce").astype("float64")
        out.loc[~np.isfinite(out[name]), name] = np.nan
    return out


def typed(windows: pd.DataFrame) -> pd.DataFrame:
    """Kept rows in train.csv's own types, sorted by label_id."""
    out = windows[list(TRAIN_COLUMNS)].sort_values("label_id", ignore_index=True)
    return out.astype(dict.fromkeys(VOTE_COLUMNS, "int64"))
