"""Exact distribution of float16 values: every statistic from one count per possible value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

N_CODES = 1 << 16  # float16 has so many bit patterns
N_BINS = 64
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
ROWS = 32  # windows counted at once


def count_values(blocks: Iterable[np.ndarray], n_channels: int) -> np.ndarray:
    """Count how often every float16 value occurs in each channel.

    Counts add up, so that the result does not depend on how the windows were grouped.

    Parameters
    ----------
    blocks : iterable of array, shape (n_windows, n_channels, ...), float16

    Returns
    -------
    array, shape (n_channels, 65536), int64
    """
    counts = np.zeros((n_channels, N_CODES), np.int64)
    for block in blocks:
        for first in range(0, len(block), ROWS):
            rows = np.ascontiguousarray(block[first : first + ROWS]).view(np.uint16)
            for channel in range(n_channels):
                codes = rows[:, channel].reshape(-1)
                counts[channel] += np.bincount(codes, minlength=N_CODES)
    return counts


def describe_values(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Statistics of each channel, kept as the reference that later data is compared with.

    Parameters
    ----------
    counts : array, shape (n_channels, 65536)
    names : sequence of str
        The channels' names.

    Returns
    -------
    dict
        ``channels``: name, mean, std, min, max and quantiles of each; ``histogram``: common
        ``edges`` and ``counts`` per channel.
    """
    codes = np.arange(N_CODES, dtype=np.uint16).view(np.float16).astype(np.float64)
    seen = counts.any(0) & np.isfinite(codes)
    order = np.flatnonzero(seen)[np.argsort(codes[seen], kind="stable")]
    values, counts = codes[order], counts[:, order]
    edges = np.linspace(values[0], max(values[-1], values[0] + 1e-3), N_BINS + 1)
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, N_BINS - 1)
    return {
        "channels": [
            {"name": name, **_channel(values, row)} for name, row in zip(names, counts, strict=True)
        ],
        "histogram": {
            "edges": edges.tolist(),
            "counts": [np.bincount(bins, row, N_BINS).astype(int).tolist() for row in counts],
        },
    }


def _channel(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    total = counts.sum()
    mean = float((values * counts).sum() / total)
    below = np.cumsum(counts)
    at = np.searchsorted(below, np.array(QUANTILES) * total)
    present = values[counts > 0]
    return {
        "mean": mean,
        "std": float(np.sqrt((counts * (values - mean) ** 2).sum() / total)),
        "min": float(present[0]),
        "max": float(present[-1]),
        "quantiles": {f"{q:g}": float(values[k]) for q, k in zip(QUANTILES, at, strict=True)},
    }
