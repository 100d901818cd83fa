"""Where a signal is missing, dead, saturated or extreme, by channel and sample."""

from __future__ import annotations

import numpy as np

from ..config.validation import ValidationParams
from ..schema import ELECTRODES


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
