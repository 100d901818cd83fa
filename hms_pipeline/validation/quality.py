"""Where a signal is missing, dead, saturated or extreme, by channel and by window."""

from __future__ import annotations

import numpy as np

from ..config.validation import ValidationParams
from ..schema import ELECTRODES, SFREQ, WINDOW_SAMPLES


def eeg_masks(eeg: np.ndarray, params: ValidationParams) -> dict[str, np.ndarray]:
    """Where each channel is missing, dead, saturated or extreme; the EKG is judged by gaps only.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts.
    params : ValidationParams
        The levels.

    Returns
    -------
    dict of str to array, shape (20, n_times), bool
    """
    finite = np.isfinite(eeg)
    missing = ~finite
    low, high, middle = _levels(eeg, None if finite.all() else missing)
    flat = _flat(eeg, params.dead_channel.step_uv)
    saturated, extreme = np.zeros(eeg.shape, bool), np.zeros(eeg.shape, bool)
    for channel in range(len(ELECTRODES)):
        for rail in (low[channel], high[channel]):
            if abs(rail - middle[channel]) >= params.saturated.level_uv:
                saturated[channel] |= eeg[channel] == rail
        reach = max(high[channel] - middle[channel], middle[channel] - low[channel])
        if reach > params.extreme_amplitude.level_uv:
            away = np.abs(eeg[channel] - middle[channel])
            extreme[channel] = (away > params.extreme_amplitude.level_uv) & finite[channel]
    saturated &= flat
    flat &= ~saturated
    flat[len(ELECTRODES) :] = False
    return {"missing": missing, "dead": flat, "saturated": saturated, "extreme": extreme}


def _flat(eeg: np.ndarray, step_uv: float) -> np.ndarray:
    """Where a sample is as good as equal to the one before or after it."""
    flat = np.zeros(eeg.shape, bool)
    if step_uv == 0:
        still = eeg[:, 1:] == eeg[:, :-1]
    else:
        with np.errstate(invalid="ignore"):
            still = np.abs(np.diff(eeg, axis=1)) <= step_uv
    flat[:, 1:] = still
    flat[:, :-1] |= still
    return flat


def _levels(
    eeg: np.ndarray, missing: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest, largest and middle value of each channel, shape (20,); 0 where all missing."""
    every = slice(None, None, max(1, eeg.shape[1] // 2048))
    if missing is None:
        return eeg.min(axis=1), eeg.max(axis=1), np.median(eeg[:, every], axis=1)
    present = [row[~gone] for row, gone in zip(eeg, missing, strict=True)]
    present = [row if len(row) else np.zeros(1, np.float32) for row in present]
    return (
        np.array([row.min() for row in present]),
        np.array([row.max() for row in present]),
        np.array([np.median(row[every]) for row in present]),
    )


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
