"""Votes → the distribution a network learns."""

from __future__ import annotations

import numpy as np

from ..schema import CLASSES


def votes_to_target(
    votes: np.ndarray, *, smoothing: float = 0.0, smoothing_max_votes: int = 3
) -> np.ndarray:
    """Vote shares, optionally smoothed toward uniform where few experts voted.

    Parameters
    ----------
    votes : array, shape (n, 6)
        Counts per class, at least one in every row.
    smoothing : float
        Share of the target that becomes uniform, 0 ≤ smoothing < 1.
    smoothing_max_votes : int
        Only rows with at most this many votes are smoothed.

    Returns
    -------
    target : array, shape (n, 6), float64
        Rows sum to 1.

    Raises
    ------
    ValueError
        Wrong shape, a negative count or a row without votes.

    Examples
    --------
    >>> votes_to_target(np.array([[3, 0, 0, 0, 0, 1]]))[0, [0, 5]]
    array([0.75, 0.25])
    """
    votes = np.asarray(votes, np.float64)
    if votes.ndim != 2 or votes.shape[1] != len(CLASSES):
        raise ValueError(f"votes must have shape (n, {len(CLASSES)}), got {votes.shape}.")
    totals = votes.sum(1, keepdims=True)
    if (votes < 0).any() or (totals == 0).any():
        row = int(np.flatnonzero((votes < 0).any(1) | (totals[:, 0] == 0))[0])
        raise ValueError(f"votes must be counts with a positive sum; row {row} has {votes[row]}.")
    amount = np.where(totals <= smoothing_max_votes, smoothing, 0.0)
    return (1 - amount) * votes / totals + amount / len(CLASSES)
