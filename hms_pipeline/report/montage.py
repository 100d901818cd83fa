"""EEG as it is read on a screen: bipolar chains from left to right, filtered, evenly spaced."""

from __future__ import annotations

import base64
import itertools
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..schema import EEG_COLUMNS, LABEL_S, MIDLINE, REGION_PAIRS, SFREQ, WINDOW_S
from ..signal.filters import band_pass

Array = NDArray[np.floating]
DRAWN_SFREQ = 100.0  # Hz; a screen cannot show more of 10 s
RESOLUTION_UV = 0.2
MISSING = -32768
SENSITIVITIES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)  # µV/mm
TRACE_MM = 7.0  # distance between traces
BAND_HZ = (0.5, 30.0)
GROUP_GAP = 0.6  # gap between groups, as a share of the distance between traces

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


def screen_traces(eeg: Array) -> Array:
    """Derivations of the double banana, band-passed to ``BAND_HZ`` without phase shift.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts in the order of ``EEG_COLUMNS``; NaN = missing.

    Returns
    -------
    array, shape (18, n_times)
        In the order of ``DERIVATIONS``; NaN where an electrode is missing.
    """
    index = {name: i for i, name in enumerate(EEG_COLUMNS)}
    raw = np.stack([eeg[index[a]] - eeg[index[b]] for a, b in DERIVATIONS]).astype(float)
    missing = ~np.isfinite(raw)
    with warnings.catch_warnings():
        # Of a derivation that is missing as a whole.
        warnings.simplefilter("ignore", RuntimeWarning)
        centre = np.nan_to_num(np.nanmedian(np.where(missing, np.nan, raw), axis=1))
    filled = torch.from_numpy(np.where(missing, 0.0, raw - centre[:, None]))
    return np.where(missing, np.nan, band_pass(filled, *BAND_HZ, order=2).numpy())


def baselines() -> Array:
    """Height of each trace in spacings, shape (18,): downwards from 0, with gaps between groups."""
    sizes = [len(pairs) for pairs in GROUPS.values()]
    return np.arange(sum(sizes)) + GROUP_GAP * np.repeat(np.arange(len(sizes)), sizes)


def sensitivity(traces: Array) -> int:
    """Microvolts a millimetre at which typical activity fills half the space of its trace."""
    present = np.abs(traces[np.isfinite(traces)])
    wanted = np.quantile(present, 0.96) / (0.6 * TRACE_MM) if present.size else 0.0
    return next((s for s in SENSITIVITIES if s >= wanted), SENSITIVITIES[-1])


def packed(eeg: Array) -> dict[str, Any]:
    """A window's traces for the page's viewer.

    Parameters
    ----------
    eeg : array, shape (20, n_times)

    Returns
    -------
    dict
        ``traces``: base64 of little-endian int16, shape (18, n_times / 2), in steps of
        ``RESOLUTION_UV``, ``MISSING`` where an electrode is; ``sensitivity``: µV/mm to start at.
    """
    traces = screen_traces(np.asarray(eeg))
    thin = traces[:, :: round(SFREQ / DRAWN_SFREQ)]  # the pass band ends far below its Nyquist
    steps = np.clip(np.rint(np.nan_to_num(thin) / RESOLUTION_UV), MISSING + 1, -MISSING - 1)
    values = np.where(np.isfinite(thin), steps, MISSING).astype("<i2")
    return {
        "traces": base64.b64encode(values.tobytes()).decode(),
        "sensitivity": sensitivity(traces),
    }


def layout(interpolated: Collection[str] = ()) -> dict[str, Any]:
    """What the viewer needs to know of the montage, the same for every window of a recording.

    Parameters
    ----------
    interpolated : collection of str
        Electrodes that were not recorded; names of their derivations get an asterisk.
    """
    absent = set(interpolated)
    return {
        "names": [name + "*" * bool(absent & set(name.split("-"))) for name in NAMES],
        "sides": SIDES,
        "heights": baselines().round(2).tolist(),
        "groups": [[name, len(pairs)] for name, pairs in GROUPS.items()],
        "sfreq": DRAWN_SFREQ,
        "step_uv": RESOLUTION_UV,
        "missing": MISSING,
        "sensitivities": SENSITIVITIES,
        "trace_mm": TRACE_MM,
        "window_s": WINDOW_S,
        "label_s": LABEL_S,
    }
