"""Multitaper power, and the published recipe of the competition's spectrograms.

References
----------
Thomson, "Spectrum estimation and harmonic analysis", Proc IEEE 1982.
Prerau et al., "Sleep neurophysiological dynamics through the lens of multitaper spectral
analysis", Physiology 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..schema import (
    REGIONS,
    SFREQ,
    SPECTROGRAM_BINS,
    SPECTROGRAM_FREQS,
    SPECTROGRAM_NFFT,
    SPECTROGRAM_STEP_S,
)
from ..system.errors import InputError
from .constants import constant
from .frames import cut_frames, detrend_mean
from .montage import chains
from .spectral import tapered_power

WINDOW_S = 4.0
NW = 2.0
N_TAPERS = 3
CHUNK = 150  # rows of a long recording computed at once


def multitaper_power(
    x: Tensor,
    starts: np.ndarray,
    *,
    n_window: int,
    freqs_hz: Sequence[float],
    nw: float = NW,
    n_tapers: int = N_TAPERS,
    sfreq: float = SFREQ,
    pool: int = 1,
) -> Tensor:
    """Power averaged over Slepian tapers, at chosen frequencies and frames.

    Parameters
    ----------
    x : Tensor, shape (..., n_chans, n_times)
    starts : array of int, shape (n_frames,)
        First sample of each frame.
    n_window : int
        Samples a frame; each frame's mean is removed.
    freqs_hz : sequence of float
    nw : float
        Time–half-bandwidth product.
    n_tapers : int
        At most 2·nw − 1 are concentrated in the band.
    sfreq : float
    pool : int
        Number of neighbouring channels whose power is averaged: 4 for chains.

    Returns
    -------
    Tensor, shape (..., n_chans / pool, n_freqs, n_frames)
        Two-sided density in µV²/Hz.

    Raises
    ------
    InputError
        The frames are too short for ``nw``.
    """
    if 2 * nw >= n_window:
        raise InputError(
            f"nw needs to be below {n_window / 2:g} (half the {n_window} samples of a frame), but"
            f" is {nw:g}. Lower it, or lengthen window_s."
        )
    frames = detrend_mean(cut_frames(x, starts, n_window))
    return tapered_power(frames, ("dpss", nw, n_tapers), freqs_hz, sfreq, pool)


@constant
def _competition_tapers(n_window: int) -> np.ndarray:
    """Slepian's sequences as eigenvectors: scipy.signal, which has them, takes 30 MB and a second.

    References
    ----------
    Slepian, "Prolate spheroidal wave functions, Fourier analysis, and uncertainty V", Bell Syst
    Tech J 1978, equation 14.
    """
    k = np.arange(n_window)
    matrix = np.diag(((n_window - 1) / 2 - k) ** 2 * np.cos(2 * np.pi * NW / n_window))
    matrix += np.diag(k[1:] * (n_window - k[1:]) / 2, -1)  # the lower triangle is what eigh reads
    return np.linalg.eigh(matrix)[1].T[: -N_TAPERS - 1 : -1]


def competition_spectrogram(eeg: Tensor) -> Tensor:
    """The competition's spectrogram of a recording, by its published recipe.

    Per region the mean over its four bipolar pairs of a multitaper density: window 4 s, step
    2 s, 3 Slepian tapers (NW 2), 1024-point FFT, bins 0.586 to 19.92 Hz, each window's mean
    removed. Row i is centred at 2i + 1 s and covers [2i − 1, 2i + 3] s; the second that the
    first and the last row lack is the signal's reflection.

    Parameters
    ----------
    eeg : Tensor, shape (B, 19 or 20, n_times)
        Microvolts at 200 Hz, at least 4 s. Float64 gives a reference.

    Returns
    -------
    Tensor, shape (B, 4, 100, n_times // 400)
        µV²/Hz; a row whose 4 s hold a missing sample is NaN in that region.
    """
    n_window, step = round(WINDOW_S * SFREQ), round(SPECTROGRAM_STEP_S * SFREQ)
    n_rows = eeg.shape[-1] // step
    starts = np.arange(n_rows) * step - (n_window - step) // 2
    out = eeg.new_empty((*eeg.shape[:-2], len(REGIONS), len(SPECTROGRAM_FREQS), n_rows))
    frames = cut_frames(chains(eeg)[..., : n_rows * step], starts, n_window)
    for first in range(0, n_rows, CHUNK):
        rows = slice(first, first + CHUNK)
        out[..., rows] = _recipe(frames[..., rows, :])
    return out


def _recipe(frames: Tensor) -> Tensor:
    """(..., region, pair, rows, samples) → (..., region, bins, rows)."""
    tapers = _competition_tapers(frames, frames.shape[-1])
    frames = detrend_mean(frames)
    wanted = slice(SPECTROGRAM_BINS[0], SPECTROGRAM_BINS[-1] + 1)
    power = torch.zeros((), dtype=frames.dtype, device=frames.device)
    for taper in tapers:
        spectrum = torch.fft.rfft(frames * taper, n=SPECTROGRAM_NFFT)[..., wanted]
        power = power + spectrum.real.square() + spectrum.imag.square()
    return (power / (SFREQ * len(tapers))).mean(-3).transpose(-1, -2)
