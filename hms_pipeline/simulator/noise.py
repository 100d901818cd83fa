"""Random signals with a given spectrum, and slow random curves."""

from __future__ import annotations

import numpy as np
from scipy import fft

from ..schema import SFREQ


def shaped_noise(rng: np.random.Generator, amplitude: np.ndarray, n_times: int) -> np.ndarray:
    """Gaussian noise whose spectrum is given, made by one inverse FFT.

    Parameters
    ----------
    rng : Generator
    amplitude : array, shape (..., n_bins)
        Amplitude density at bins ``k * SFREQ / n_times``; bins beyond ``n_bins`` are silent.
    n_times : int
        Length; a product of small primes is fast (``scipy.fft.next_fast_len``).

    Returns
    -------
    array, shape (..., n_times)
        In the precision of ``amplitude``; the power of a signal is the sum of ``amplitude**2``
        times ``SFREQ / n_times``.
    """
    shape = amplitude.shape
    normal = rng.standard_normal((*shape[:-1], 2 * shape[-1]), dtype=np.float32)
    scale = amplitude.dtype.type(0.5 * np.sqrt(SFREQ * n_times))
    spectrum = normal.view(np.complex64) * (amplitude * scale)
    return fft.irfft(spectrum, n_times, axis=-1)


def bin_frequencies(n_times: int, highest_hz: float) -> np.ndarray:
    """Frequencies of an FFT's bins up to ``highest_hz``."""
    return np.arange(int(highest_hz * n_times / SFREQ) + 1) * (SFREQ / n_times)


def slow_curve(
    rng: np.random.Generator, n_times: int, period_s: float, sfreq: float = SFREQ
) -> np.ndarray:
    """A smooth curve of about unit variance that changes over ``period_s`` seconds.

    Random knots, joined by raised-cosine steps.
    """
    step = max(round(period_s * sfreq), 2)
    knots = rng.standard_normal(n_times // step + 3)[:, None]
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(step) / step)
    curve = (knots[:-1] + (knots[1:] - knots[:-1]) * rise).ravel()
    start = int(rng.integers(step))
    return curve[start : start + n_times]


def bump(freqs: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A Gaussian peak of height 1 in a spectrum."""
    return np.exp(-0.5 * ((freqs - centre) / width) ** 2)
