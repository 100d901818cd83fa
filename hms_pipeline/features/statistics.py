"""Exact distribution of float16 values: every statistic from one count per possible value."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

N_CODES = 1 << 16  # float16 has so many bit patterns
N_BINS = 64
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
ROWS = 32  # windows counted at once


def count_values(shards: Sequence[Path], n_channels: int, threads: int = 1) -> np.ndarray:
    """Count how often every float16 value occurs in each channel.

    Counts add up, so that the result does not depend on how the windows were grouped.

    Parameters
    ----------
    shards : sequence of Path
        ``.npy`` files of shape (n_windows, n_channels, ...), float16.
    n_channels : int
    threads : int
        Shards counted at once.

    Returns
    -------
    array, shape (n_channels, 65536), int64
    """
    counts = np.zeros((n_channels, N_CODES), np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(partial(_count_shard, n_channels=n_channels), shards):
            counts += found
    return counts


def _count_shard(path: Path, n_channels: int) -> np.ndarray:
    block = np.load(path, mmap_mode="r", allow_pickle=False)
    counts = np.zeros((n_channels, N_CODES), np.int64)
    for first in range(0, len(block), ROWS):
        rows = torch.from_numpy(np.array(block[first : first + ROWS]).view(np.int16))
        for channel in range(n_channels):
            # Unlike NumPy's, this count leaves other threads running.
            codes = rows[:, channel].reshape(-1).to(torch.int32) & (N_CODES - 1)
            counts[channel] += torch.bincount(codes, minlength=N_CODES).numpy()
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
