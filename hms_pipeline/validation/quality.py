"""How much of each window is missing, dead, saturated or extreme."""

from __future__ import annotations

import numpy as np

from ..config.validation import ValidationParams
from ..schema import SFREQ, WINDOW_SAMPLES


def eeg_windows(
    masks: dict[str, np.ndarray], starts: list[int], params: ValidationParams
) -> np.ndarray:
    """``WINDOW_MEASURES["eeg"]`` of the windows that start at ``starts``.

    Returns
    -------
    array, shape (n_starts, 5), float32
        NaN for windows that reach outside the recording.
    """
    shares = {}
    for name, mask in masks.items():
        sums, inside = window_sums(mask, starts, WINDOW_SAMPLES)
        shares[name] = sums / WINDOW_SAMPLES
    out = np.full((len(starts), 5), np.nan, np.float32)
    out[inside] = np.stack(
        [
            shares["missing"].max(axis=0),
            _longest_gaps(masks["missing"], np.asarray(starts)[inside]) / SFREQ,
            np.sum(shares["dead"] >= params.dead_channel.share, axis=0),
            shares["saturated"].max(axis=0),
            shares["extreme"].max(axis=0),
        ],
        axis=1,
    )
    return out


def _longest_gaps(missing: np.ndarray, starts: np.ndarray) -> np.ndarray:
    if not missing.any():
        return np.zeros(len(starts))
    return np.array([longest_runs(missing[:, s : s + WINDOW_SAMPLES]).max() for s in starts])


def window_sums(mask: np.ndarray, starts: list[int], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts within each window that lies inside, shape (n_rows, n_inside), and which do."""
    first = np.asarray(starts, np.int64)
    inside = (first >= 0) & (first + length <= mask.shape[1])
    first = first[inside]
    if not mask.any():
        return np.zeros((len(mask), len(first))), inside
    total = np.zeros((len(mask), mask.shape[1] + 1), np.int32)
    np.cumsum(mask, axis=1, out=total[:, 1:])
    return total[:, first + length] - total[:, first], inside


def longest_runs(mask: np.ndarray) -> np.ndarray:
    """Length of the longest run of True in each row.

    Examples
    --------
    >>> longest_runs(np.array([[True, True, False, True]]))
    array([2])
    """
    if not mask.any():
        return np.zeros(len(mask), np.int64)
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    longest = np.zeros(len(mask), np.int64)
    rows, begins = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    np.maximum.at(longest, rows, ends - begins)
    return longest
