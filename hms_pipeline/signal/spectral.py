"""Short-time power spectra by matrix product: only the wanted frequencies are computed.

A frame of ``n`` samples times an ``n × 2F`` matrix of windowed cosines and sines gives its
spectrum at any ``F`` frequencies. For EEG below 20 Hz this is several times cheaper than an FFT
that computes every bin to 100 Hz. Powers are densities in µV²/Hz, two-sided as in the
competition's spectrograms: |Σ w x e^{-iωt}|² / (sfreq · Σ w²).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..schema import SFREQ
from .constants import constant
from .frames import cut_frames, sum_of_squares

Taper = tuple[Any, ...]


@lru_cache(maxsize=64)
def taper_values(taper: Taper, n_window: int) -> np.ndarray:
    """Windows of a frame: ``("hann",)`` or ``("dpss", nw, n_tapers)`` → (n_tapers, n_window).

    The Hann window is the periodic one, as in ``scipy.signal.stft`` and librosa.
    """
    if taper[0] == "hann":
        return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_window) / n_window))[None]
    from scipy.signal.windows import dpss  # importing scipy.signal takes a second

    return dpss(n_window, taper[1], taper[2])


@constant
def _dft_matrix(
    taper: Taper, n_window: int, freqs_hz: tuple[float, ...], sfreq: float
) -> np.ndarray:
    """Tapered cosines and sines, (n_window, n_tapers * 2 * n_freqs), scaled to mean density."""
    window = taper_values(taper, n_window)  # (K, n)
    times = (np.arange(n_window) - n_window // 2) / sfreq
    angle = 2 * np.pi * times[:, None] * np.asarray(freqs_hz)
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)  # (n, 2F)
    scale = 1 / np.sqrt(sfreq * (window**2).sum(1) * len(window))
    return np.einsum("kn,nf,k->nkf", window, waves, scale).reshape(n_window, -1)


def tapered_power(
    frames: Tensor, taper: Taper, freqs_hz: Sequence[float], sfreq: float, pool: int = 1
) -> Tensor:
    """Power density of frames at chosen frequencies, averaged over tapers and channels.

    Parameters
    ----------
    frames : Tensor, shape (..., n_chans, n_frames, n_window)
    taper : tuple
        See ``taper_values``.
    freqs_hz : sequence of float
    sfreq : float
    pool : int
        Number of neighbouring channels whose power is averaged.

    Returns
    -------
    Tensor, shape (..., n_chans / pool, n_freqs, n_frames)
        µV²/Hz.
    """
    freqs = tuple(float(f) for f in freqs_hz)
    matrix = _dft_matrix(frames, taper, frames.shape[-1], freqs, sfreq)
    power = sum_of_squares(frames @ matrix, pool=pool, blocks=matrix.shape[1] // len(freqs))
    return power.transpose(-1, -2) / pool


def stft_power(
    x: Tensor,
    starts: np.ndarray,
    *,
    n_window: int,
    freqs_hz: Sequence[float],
    sfreq: float = SFREQ,
    edge: str = "reflect",
    pool: int = 1,
) -> Tensor:
    """Short-time Fourier power (Hann window) at chosen frequencies and frames.

    Parameters
    ----------
    x : Tensor, shape (..., n_chans, n_times)
    starts : array of int, shape (n_frames,)
        First sample of each frame; see ``frames.frame_starts``.
    n_window : int
        Samples a frame.
    freqs_hz : sequence of float
        Any frequencies; they need not lie on a grid.
    sfreq : float
        Sampling rate of ``x``, Hz.
    edge : {"reflect", "constant"}
        What stands past the ends of ``x``: its reflection, or zeros.
    pool : int
        Number of neighbouring channels whose power is averaged: 4 for chains.

    Returns
    -------
    Tensor, shape (..., n_chans / pool, n_freqs, n_frames)
        Two-sided density in µV²/Hz, low frequency first.
    """
    frames = cut_frames(x, starts, n_window, edge=edge)
    return tapered_power(frames, ("hann",), freqs_hz, sfreq, pool)


def hz_to_mel(freqs_hz: np.ndarray | float) -> np.ndarray:
    """Slaney's mel scale (linear below 1 kHz: all of the EEG's band)."""
    freqs_hz = np.asarray(freqs_hz, float)
    above = 15 + 27 / np.log(6.4) * np.log(np.maximum(freqs_hz, 1000) / 1000)
    return np.where(freqs_hz < 1000, freqs_hz * 3 / 200, above)


def mel_to_hz(mels: np.ndarray) -> np.ndarray:
    """Inverse of ``hz_to_mel``."""
    mels = np.asarray(mels, float)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mels - 15)))


def mel_filters(
    freqs_hz: Sequence[float], n_mels: int, low_hz: float, high_hz: float
) -> np.ndarray:
    """Triangular filters with Slaney's area normalisation.

    Parameters
    ----------
    freqs_hz : sequence of float
        Frequencies of the power spectrum.
    n_mels : int
    low_hz, high_hz : float
        Band that the filters span.

    Returns
    -------
    array, shape (n_mels, n_freqs)
        A filter that no frequency falls into is zero.

    References
    ----------
    Slaney, "Auditory Toolbox", Interval Research TR 1998-010.
    """
    edges = mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), n_mels + 2))
    rise = (np.asarray(freqs_hz) - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - np.asarray(freqs_hz)) / np.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return np.maximum(0, np.minimum(rise, fall)) * area[:, None]


@constant
def _mel_matrix(
    freqs_hz: tuple[float, ...], n_mels: int, low_hz: float, high_hz: float, unit: bool
) -> np.ndarray:
    filters = mel_filters(freqs_hz, n_mels, low_hz, high_hz)
    if unit:
        filters = filters / np.maximum(filters.sum(1, keepdims=True), 1e-12)
    return filters


def mel_power(
    power: Tensor,
    freqs_hz: Sequence[float],
    *,
    n_mels: int,
    low_hz: float,
    high_hz: float,
    unit: bool = True,
) -> Tensor:
    """Pool a power spectrum into mel bands.

    Parameters
    ----------
    power : Tensor, shape (..., n_freqs, n_frames)
    freqs_hz : sequence of float
        Its frequencies.
    n_mels, low_hz, high_hz
        See ``mel_filters``.
    unit : bool
        Weights of a band sum to 1, so that the result is a density too; False keeps Slaney's
        area normalisation (librosa's values up to the density's constant factor).

    Returns
    -------
    Tensor, shape (..., n_mels, n_frames)
    """
    return _mel_matrix(power, tuple(map(float, freqs_hz)), n_mels, low_hz, high_hz, unit) @ power


def log_scale(power: Tensor, low: float, high: float, mean: float, std: float) -> Tensor:
    """Natural logarithm, clipped to [low, high], then (x − mean) / std, all fixed numbers.

    Missing power (NaN) becomes the floor.
    """
    floor, ceiling = float(np.exp(low)), float(np.exp(high))
    bounded = torch.nan_to_num(power, nan=floor, posinf=ceiling, neginf=floor)
    return (bounded.clamp(floor, ceiling).log() - mean) / std
