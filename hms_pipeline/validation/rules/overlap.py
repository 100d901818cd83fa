"""Windows of one EEG that overlap and carry the same votes are one piece of evidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...config.validation import ValidationParams
from ...schema import VOTE_COLUMNS
from ..evidence import Evidence
from ..rule import Finding, rows_where, rule


def middle_of(windows: pd.DataFrame, gap_s: float) -> pd.Series:
    """The row that stands for each row: the middle one, by offset, of its chain.

    Parameters
    ----------
    windows : DataFrame
        Rows with ``eeg_id``, ``eeg_label_offset_seconds``, ``label_id`` and votes.
    gap_s : float
        Windows with equal votes that start less than this apart belong to one chain.

    Returns
    -------
    Series of int
        Index label of the kept row, for every row.
    """
    same = ["eeg_id", *VOTE_COLUMNS]
    ordered = windows.sort_values([*same, "eeg_label_offset_seconds", "label_id"])
    offset = ordered["eeg_label_offset_seconds"].to_numpy(float)
    groups = ordered[same].to_numpy(float)
    starts = np.ones(len(ordered), bool)
    starts[1:] = (groups[1:] != groups[:-1]).any(axis=1) | (np.diff(offset) >= gap_s)
    first = np.flatnonzero(starts)
    length = np.diff(np.append(first, len(ordered)))
    middle = np.repeat(first + (length - 1) // 2, length)
    return pd.Series(ordered.index.to_numpy()[middle], index=ordered.index).reindex(windows.index)


@rule("overlap", "it overlaps a window of the same EEG with the same votes", order=3)
def overlap(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    left = evidence.windows[~evidence.removed_rows]
    if left.empty:
        return
    middle = middle_of(left, params.overlap.gap_s).to_numpy()
    own = left.index.to_numpy()
    labels = evidence.windows["label_id"].to_numpy()
    for row in rows_where(middle != own):
        yield Finding("window", int(own[row]), f"label {labels[middle[row]]} stands for it")
