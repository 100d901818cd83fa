"""EEG as it is read on a screen: bipolar chains from left to right, filtered, evenly spaced."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from ..schema import EEG_COLUMNS, MIDLINE, REGION_PAIRS, SFREQ

Array = NDArray[np.floating]
BAND_HZ = (0.5, 30.0)
SPACINGS_UV = (30, 50, 75, 100, 150, 200, 300, 500, 1000)
GROUP_GAP = 0.6  # of a trace's spacing

# From the patient's left to the right, as most readers set their screens.
GROUPS = {
    "left temporal": REGION_PAIRS["LL"],
    "left parasagittal": REGION_PAIRS["LP"],
    "midline": tuple(itertools.pairwise(MIDLINE)),
    "right parasagittal": REGION_PAIRS["RP"],
    "right temporal": REGION_PAIRS["RL"],
}
DERIVATIONS = tuple(pair for pairs in GROUPS.values() for pair in pairs)
NAMES = tuple(f"{a}-{b}" for a, b in DERIVATIONS)
SIDES = tuple(group.split()[0] for group, pairs in GROUPS.items() for _ in pairs)


def screen_traces(eeg: Array, band_hz: tuple[float, float] = BAND_HZ) -> Array:
    """Derivations of the double banana, band-passed without phase shift.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts in the order of ``EEG_COLUMNS``; NaN = missing.
    band_hz : tuple of float
        Pass band.

    Returns
    -------
    array, shape (18, n_times)
        In the order of ``DERIVATIONS``; NaN where an electrode is missing.
    """
    index = {name: i for i, name in enumerate(EEG_COLUMNS)}
    raw = np.stack([eeg[index[a]] - eeg[index[b]] for a, b in DERIVATIONS]).astype(float)
    missing = ~np.isfinite(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a derivation that is missing whole
        centre = np.nan_to_num(np.nanmedian(np.where(missing, np.nan, raw), axis=1))
    filled = np.where(missing, 0.0, raw - centre[:, None])
    filtered = sosfiltfilt(butter(2, band_hz, "bandpass", fs=SFREQ, output="sos"), filled, axis=1)
    return np.where(missing, np.nan, filtered)


def spacing_uv(traces: Array) -> int:
    """Distance between traces that shows typical activity without overlap, microvolts."""
    present = traces[np.isfinite(traces)]
    if not present.size:
        return SPACINGS_UV[0]
    wanted = 1.1 * np.quantile(np.abs(present), 0.97)
    return next((s for s in SPACINGS_UV if s >= wanted), SPACINGS_UV[-1])


def baselines() -> Array:
    """Height of each trace in spacings, shape (18,): downwards from 0, with gaps between groups."""
    heights, y = [], 0.0
    for pairs in GROUPS.values():
        for _ in pairs:
            heights.append(y)
            y += 1
        y += GROUP_GAP
    return np.array(heights)
