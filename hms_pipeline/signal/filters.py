"""Zero-phase filters and resampling, as gains on the spectrum of an oddly extended signal.

Every filter here multiplies the spectrum by a real gain, which shifts no phase. The signal is
first extended at both ends by its own point reflection, as ``scipy.signal.filtfilt`` does, so
that an offset or a drift does not ring at the edges.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from ..schema import SFREQ
from ..system.errors import InputError
from .constants import constant

PAD_S = 7.0  # of the extension: the slowest filter (0.5 Hz, order 4) has decayed to 2e-4 by then
FLAT = 0.8  # share of the lower Nyquist frequency that resampling leaves unchanged


def filter_spectrum(
    x: Tensor, gain: tuple[Any, ...], *, sfreq: float = SFREQ, rate_hz: float | None = None
) -> Tensor:
    """Multiply the spectrum by a gain and, in the same pass, resample.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
    gain : tuple
        ``(function, *arguments)``; ``function(freqs_hz, sfreq, *arguments)`` gives the gain.
    sfreq : float
        Sampling rate of ``x`` in Hz.
    rate_hz : float or None
        Sampling rate of the result; None keeps it. What lies above its Nyquist frequency is
        cut off, so nothing folds back.

    Returns
    -------
    Tensor, shape (..., ceil(n_times * rate_hz / sfreq))
        Sample k lies at ``k / rate_hz`` seconds.
    """
    ratio = Fraction(1) if rate_hz is None else Fraction(rate_hz / sfreq).limit_denominator(4096)
    n_times = x.shape[-1]
    before, total = _extension(n_times, min(round(PAD_S * sfreq), n_times - 1), ratio)
    spectrum = torch.fft.rfft(extend_signal(x, before, total - n_times - before))
    n_out = int(total * ratio)
    n_kept = min(spectrum.shape[-1], (n_out + 1) // 2)
    values = _gain_values(x, gain, total, n_kept, sfreq)
    spectrum = spectrum[..., :n_kept] * (values * float(ratio))  # irfft divides by its own length
    out = torch.fft.irfft(spectrum, n=n_out)
    start = int(before * ratio)
    return out[..., start : start + -(-n_times * ratio.numerator // ratio.denominator)]


def _extension(n_times: int, n_pad: int, ratio: Fraction) -> tuple[int, int]:
    """Samples before the signal and in all, both divisible so that the new grid keeps time 0."""
    step = ratio.denominator
    before = -(-n_pad // step) * step if n_pad >= step else 0
    total = step * next_fast_len(-(-(n_times + before + n_pad) // step), real=True)
    return before, total


def extend_signal(x: Tensor, before: int, after: int, *, odd: bool = True) -> Tensor:
    """Lengthen a signal at both ends by its reflection.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
    before, after : int
        Samples to add; beyond one length of the signal the last value repeats.
    odd : bool
        Reflect through the end's point, as ``filtfilt`` does; False mirrors the values.

    Returns
    -------
    Tensor, shape (..., before + n_times + after)
    """
    n_times = x.shape[-1]
    n_first, n_last = min(before, n_times - 1), min(after, n_times - 1)
    head = x[..., 1 : n_first + 1].flip(-1)
    tail = x[..., n_times - 1 - n_last : n_times - 1].flip(-1)
    if odd:
        head, tail = 2 * x[..., :1] - head, 2 * x[..., -1:] - tail
    out = torch.cat([head, x, tail], -1)
    if (before, after) == (n_first, n_last):
        return out
    return pad(out, (before - n_first, after - n_last), mode="replicate")


@constant
def _gain_values(gain: tuple[Any, ...], total: int, n_kept: int, sfreq: float) -> np.ndarray:
    freqs = np.arange(n_kept) * sfreq / total
    return gain[0](freqs, sfreq, *gain[1:])


def _warp(freqs: np.ndarray | float, sfreq: float) -> np.ndarray:
    return np.tan(np.pi * np.minimum(freqs, 0.4999 * sfreq) / sfreq)


def butterworth_gain(
    freqs: np.ndarray, sfreq: float, low_hz: float | None, high_hz: float | None, order: int
) -> np.ndarray:
    """Gain of a digital Butterworth filter run forward and backward: its |H|²."""
    gain = np.ones_like(freqs)
    if high_hz is not None:
        gain /= 1 + (_warp(freqs, sfreq) / _warp(high_hz, sfreq)) ** (2 * order)
    if low_hz is not None:
        power = (_warp(freqs, sfreq) / _warp(low_hz, sfreq)) ** (2 * order)
        gain *= power / (1 + power)
    return gain


def flat_gain(freqs: np.ndarray, _sfreq: float, pass_hz: float, stop_hz: float) -> np.ndarray:
    """1 up to ``pass_hz``, 0 from ``stop_hz``, half a cosine between."""
    across = np.clip((freqs - pass_hz) / max(stop_hz - pass_hz, 1e-9), 0, 1)
    return 0.5 * (1 + np.cos(np.pi * across))


def band_pass(
    x: Tensor,
    low_hz: float | None,
    high_hz: float | None,
    *,
    order: int = 4,
    sfreq: float = SFREQ,
    rate_hz: float | None = None,
) -> Tensor:
    """Zero-phase Butterworth band-pass: a high-pass and a low-pass, each forward and backward.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
    low_hz, high_hz : float or None
        Edges in Hz, where the gain is one half; None leaves that side open.
    order : int
        Order of each filter in one direction.
    sfreq, rate_hz : float
        Sampling rates of ``x`` and of the result.

    Returns
    -------
    Tensor, shape (..., n_times * rate_hz / sfreq)

    Raises
    ------
    InputError
        The edges are not 0 < low < high < half the sampling rate.
    """
    edges = [0.0, *(e for e in (low_hz, high_hz) if e is not None), sfreq / 2]
    if any(a >= b for a, b in itertools.pairwise(edges)):
        raise InputError(
            f"A band needs 0 < low_hz < high_hz < {sfreq / 2:g} Hz, but is {low_hz} to {high_hz}."
            " Correct the edges."
        )
    gain = (butterworth_gain, low_hz, high_hz, order)
    return filter_spectrum(x, gain, sfreq=sfreq, rate_hz=rate_hz)


def resample(x: Tensor, sfreq: float, rate_hz: float) -> Tensor:
    """Change the sampling rate.

    From ``FLAT`` of the lower Nyquist frequency a half cosine falls to zero at that frequency.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
    sfreq, rate_hz : float
        Rates of ``x`` and of the result, in Hz.

    Returns
    -------
    Tensor, shape (..., ceil(n_times * rate_hz / sfreq))
    """
    if sfreq == rate_hz:
        return x
    nyquist = min(sfreq, rate_hz) / 2
    return filter_spectrum(x, (flat_gain, FLAT * nyquist, nyquist), sfreq=sfreq, rate_hz=rate_hz)


def clip_scale(x: Tensor, clip: float, scale: float) -> Tensor:
    """Clip to ±``clip`` and divide by ``scale`` (same unit as ``x``)."""
    return x.clamp(-clip, clip) / scale
