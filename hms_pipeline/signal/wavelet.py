"""Continuous wavelet power (Morlet), computed only at the rate that the picture needs.

A Morlet wavelet of ``n_cycles`` at ``f`` passes a Gaussian band of width ``f / n_cycles``. Its
coefficients are therefore fully described by the few spectrum bins of that band: they are
multiplied by the Gaussian, moved to zero frequency (which changes no magnitude) and transformed
back at the band's own low rate, octave by octave.

References
----------
Tallon-Baudry et al., "Oscillatory gamma-band (30-70 Hz) activity induced by a visual search task
in humans", J Neurosci 1997.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from ..schema import SFREQ
from .constants import constant
from .filters import extend_signal
from .frames import sum_of_squares

REACH = 4.0  # half width of a wavelet's band in standard deviations: exp(-8) at its edge


def log_freqs(low_hz: float, high_hz: float, n_freqs: int) -> tuple[float, ...]:
    """Frequencies at equal ratios.

    Examples
    --------
    >>> log_freqs(1.0, 4.0, 3)
    (1.0, 2.0, 4.0)
    """
    return tuple(np.geomspace(low_hz, high_hz, n_freqs).tolist())


def cwt_power(
    x: Tensor,
    *,
    freqs_hz: Sequence[float],
    n_cycles: float,
    columns: Sequence[tuple[float, float, int]],
    sfreq: float = SFREQ,
    pool: int = 1,
) -> list[Tensor]:
    """Morlet power, averaged within the columns of one or more pictures.

    Parameters
    ----------
    x : Tensor, shape (..., n_chans, n_times)
    freqs_hz : sequence of float
        Ascending.
    n_cycles : float
        Cycles of the Gaussian's standard deviation times 2π, as in MNE.
    columns : sequence of (start_s, duration_s, n_columns)
        The pictures.
    sfreq : float
    pool : int
        Number of neighbouring channels whose power is averaged: 4 for chains.

    Returns
    -------
    list of Tensor, shape (..., n_chans / pool, n_freqs, n_columns)
        The wavelets have unit energy and the power is divided by ``sfreq``: a density in
        µV²/Hz, comparable to the other transforms of this package.
    """
    n_times = x.shape[-1]
    longest = n_cycles / (2 * math.pi * freqs_hz[0])  # standard deviation in time, s
    n_pad = min(n_times - 1, math.ceil(REACH * longest * sfreq))
    total = next_fast_len(n_times + 2 * n_pad, real=True)
    spectrum = torch.fft.rfft(extend_signal(x, n_pad, total - n_times - n_pad, odd=False))
    widths = [n_columns for _, _, n_columns in columns]
    span = (n_pad / sfreq, total / sfreq)
    powers = [
        _group_power(spectrum, group, n_cycles, sfreq, total, pool) @ pooling
        for group in _octaves(tuple(freqs_hz))
        for pooling in [_pooling(x, *span, _n_band(group, n_cycles, sfreq, total), tuple(columns))]
    ]
    return list(torch.cat(powers, -2).split(widths, -1))


def _octaves(freqs_hz: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Split ascending frequencies where they have doubled, highest octave complete."""
    octave = [math.floor(math.log2(freqs_hz[-1] / f) + 1e-9) for f in freqs_hz]
    return [
        tuple(f for f, o in zip(freqs_hz, octave, strict=True) if o == k)
        for k in sorted(set(octave), reverse=True)
    ]


def _n_band(freqs_hz: tuple[float, ...], n_cycles: float, sfreq: float, total: int) -> int:
    """Bins that hold the widest wavelet's band: also the samples that its power is given at."""
    width_hz = 2 * REACH * freqs_hz[-1] / n_cycles
    return next_fast_len(min(total, math.ceil(width_hz * total / sfreq)), real=True)


def _first_bins(freqs_hz: tuple[float, ...], n_band: int, sfreq: float, total: int) -> np.ndarray:
    """First spectrum bin (may be negative) of each wavelet's band."""
    centre = np.round(np.asarray(freqs_hz) * total / sfreq).astype(np.int64)
    return centre - n_band // 2


@constant
def _band_gains(
    freqs_hz: tuple[float, ...], n_cycles: float, n_band: int, sfreq: float, total: int
) -> np.ndarray:
    """Spectrum of unit-energy wavelets on those bins, shape (n_freqs, n_band).

    The sampled wavelet ``c exp(-t²/2s²) exp(2πift)`` of unit energy (the sum of its squared
    magnitudes is 1, MNE's is 2) has ``c² = 1 / (s sfreq √π)``; the density divides by
    ``sfreq`` once more.
    """
    freqs = np.asarray(freqs_hz)[:, None]
    first = _first_bins(freqs_hz, n_band, sfreq, total)
    bins = first[:, None] + np.arange(n_band)
    s = n_cycles / (2 * np.pi * freqs)
    height = np.sqrt(1 / (s * sfreq * np.sqrt(np.pi))) * s * sfreq * np.sqrt(2 * np.pi)
    gains = height * np.exp(-0.5 * (2 * np.pi * s * (bins * sfreq / total - freqs)) ** 2)
    inside = (bins > 0) & (bins <= total // 2)
    # The inverse transform of n_band points divides by n_band instead of total.
    return gains * inside * (n_band / total) / np.sqrt(sfreq)


def _group_power(
    spectrum: Tensor,
    freqs_hz: tuple[float, ...],
    n_cycles: float,
    sfreq: float,
    total: int,
    pool: int,
) -> Tensor:
    """Squared real and imaginary parts at the group's low rate: (..., n_freqs, 2 * n_band)."""
    n_band = _n_band(freqs_hz, n_cycles, sfreq, total)
    first = _first_bins(freqs_hz, n_band, sfreq, total)
    before = max(0, -int(first.min()))
    after = max(0, int(first.max()) + n_band - spectrum.shape[-1])
    spectrum = pad(spectrum, (before, after))
    bands = [spectrum[..., k : k + n_band] for k in (first + before).tolist()]
    gains = _band_gains(spectrum.real, freqs_hz, n_cycles, n_band, sfreq, total)
    coefficients = torch.fft.ifft(torch.stack(bands, -2) * gains)
    parts = torch.view_as_real(coefficients).flatten(-2)
    return sum_of_squares(parts, pool=pool, blocks=1) / pool


@constant
def _pooling(
    lead_s: float, total_s: float, n_band: int, columns: tuple[tuple[float, float, int], ...]
) -> np.ndarray:
    """Weights, (2 * n_band, all columns), of the mean power over each column's stretch of time.

    Between samples the power is its trigonometric interpolation, so columns may be finer than
    samples. Real and imaginary parts, which alternate, have the same weights.
    """
    blocks = []
    for start_s, duration_s, n_columns in columns:
        edges = (lead_s + start_s + np.arange(n_columns + 1) * duration_s / n_columns) / total_s
        blocks.append(_mean_weights(edges[:-1], edges[1:], n_band))
    return np.repeat(np.concatenate(blocks), 2, axis=1).T


def _mean_weights(first: np.ndarray, last: np.ndarray, n: int) -> np.ndarray:
    """Weights, (n_columns, n), of n samples of a period in the means between two times of it."""
    k = np.fft.fftfreq(n, 1 / n)
    turns = np.pi * k * (last - first)[:, None]
    middle = np.exp(2j * np.pi * k * ((first + last) / 2)[:, None])
    return np.fft.fft(np.sinc(turns / np.pi) * middle, axis=1).real / n
