"""Uncertainty of a mean over windows, if patients, not windows, are the random sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def patient_bootstrap(losses: Array, patients: NDArray[Any], n_samples: int, seed: int) -> Array:
    """Resample patients with replacement.

    Every column sees the same patients, so that differences of columns are paired.

    Parameters
    ----------
    losses : array, shape (n_windows, n_columns)
        Per-window loss of each candidate.
    patients : array, shape (n_windows,)
        Patient of each window.
    n_samples : int
        Resamplings.
    seed : int
        Seed of the draw.

    Returns
    -------
    array, shape (n_samples, n_columns)
        Mean loss of every resampling.
    """
    _, index = np.unique(patients, return_inverse=True)
    n_windows = np.bincount(index).astype(float)
    sums = np.stack([np.bincount(index, weights=column) for column in losses.T], axis=1)
    n_patients = len(n_windows)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=n_samples)
    # einsum adds in one order whatever the number of BLAS threads, so equal seeds give equal bytes
    totals = np.einsum("sp,pc->sc", drawn.astype(float), sums)
    return totals / np.einsum("sp,p->s", drawn.astype(float), n_windows)[:, None]


def interval(samples: Array, confidence: float) -> tuple[float, float]:
    """Central interval of bootstrap samples, shape (n_samples,)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)
