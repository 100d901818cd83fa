"""The competition's metric, always on the slices by number of votes.

References
----------
Kaggle, "HMS - Harmful Brain Activity Classification", evaluation page, 2024.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..schema import VOTE_SLICES

Array = NDArray[np.float64]
FLOOR = 1e-15  # the official clip of predictions


def kl_per_window(target: Array, probs: Array) -> Array:
    """Σ t·ln(t / p) of every row, in nats; terms with t = 0 are 0.

    Parameters
    ----------
    target, probs : array, shape (n, n_classes)
        Vote shares and probabilities; rows sum to 1. As in the official metric only ``probs``
        are clipped.

    Returns
    -------
    array, shape (n,)
    """
    log_probs = np.log(np.clip(probs, FLOOR, 1 - FLOOR))
    log_target = np.log(np.where(target > 0, target, 1.0))
    return (target * (log_target - log_probs)).sum(1)


def kl_divergence(target: np.ndarray, probs: np.ndarray) -> float:
    """Mean of ``kl_per_window`` over the rows, of which there is one at least.

    Examples
    --------
    >>> round(kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])), 4)
    0.6931
    """
    target = np.asarray(target, np.float64)
    probs = np.asarray(probs, np.float64)
    if target.shape != probs.shape or target.ndim != 2 or not len(target):
        raise ValueError(
            f"target and probs need one shape (n, n_classes) with n > 0, got {target.shape} and"
            f" {probs.shape}."
        )
    return float(kl_per_window(target, probs).mean())


def by_slice(target: np.ndarray, probs: np.ndarray, n_votes: np.ndarray) -> dict[str, float]:
    """KL divergence on every slice of ``schema.VOTE_SLICES``; NaN where a slice has no rows.

    Parameters
    ----------
    target, probs : array, shape (n, 6)
    n_votes : array, shape (n,)
    """
    return {
        name: kl_divergence(target[rows], probs[rows]) if rows.any() else math.nan
        for name, rows in slice_rows(n_votes).items()
    }


def slice_rows(n_votes: np.ndarray) -> dict[str, np.ndarray]:
    """Slice → which rows are in it, bool."""
    n_votes = np.asarray(n_votes)
    return {
        name: (n_votes >= low) & (n_votes <= (math.inf if high is None else high))
        for name, (low, high) in VOTE_SLICES.items()
    }


def metric_name(slice_name: str) -> str:
    """``">=10"`` → ``"kl_ge_10"``, ``"1-2"`` → ``"kl_1_2"``: names that any tracker takes."""
    return "kl_" + slice_name.replace(">=", "ge_").replace("-", "_")
