"""Missing values as the competition has them: gaps of single samples, ends, whole rows."""

from __future__ import annotations

import numpy as np

from ..schema import SFREQ

EEG_SHARE = 0.048  # share of EEG files with missing samples
SPECTROGRAM_SHARE = 0.087


def drop_samples(rng: np.random.Generator, eeg: np.ndarray) -> None:
    """Make samples of an EEG, array of shape (20, n), NaN in place: a few, or one end."""
    n = eeg.shape[1]
    if rng.random() < 0.6:
        eeg[:, rng.integers(n, size=int(rng.integers(1, 30)))] = np.nan
        return
    length = min(int(rng.uniform(0.5, 20) * SFREQ), n)
    eeg[:, slice(None, length) if rng.random() < 0.5 else slice(n - length, None)] = np.nan


def drop_rows(rng: np.random.Generator, spectrogram: np.ndarray) -> None:
    """Make rows of a spectrogram, array of shape (4, 100, n), NaN in place, over all columns."""
    n = spectrogram.shape[2]
    length = int(np.clip(rng.lognormal(np.log(12), 1.0), 1, n // 2))
    start = int(rng.integers(n - length + 1))
    spectrogram[..., start : start + length] = np.nan
