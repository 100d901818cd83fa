"""The competition's 10-minute spectrogram by its published recipe, in numpy."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft
from scipy.signal.windows import dpss

from ..schema import (
    EEG_COLUMNS,
    REGION_PAIRS,
    SFREQ,
    SPECTROGRAM_BINS,
    SPECTROGRAM_NFFT,
    SPECTROGRAM_STEP_S,
)

WINDOW = int(4 * SFREQ)  # samples of one multitaper window
STEP = int(SPECTROGRAM_STEP_S * SFREQ)
ROWS_AT_ONCE = 20  # keeps the FFT's operands in a core's cache
MARGIN = STEP // 2  # the first and last windows reach one second past the recording


@cache
def _tapers() -> np.ndarray:
    return dpss(WINDOW, 2, 3)


def multitaper_spectrogram(eeg: np.ndarray) -> np.ndarray:
    """Regional multitaper spectrogram: 4 s windows every 2 s, DPSS NW = 2, 3 tapers.

    Parameters
    ----------
    eeg : array, shape (20, n_times + 2 * MARGIN)
        Microvolts, with one second more than the recording at both ends.

    Returns
    -------
    array, shape (4, 100, n_times // 400), float32
        Power density in uV^2/Hz, |FFT|^2 / fs, two-sided; row i is centred at 2 i + 1 s.

    References
    ----------
    Kaggle, "HMS - Harmful Brain Activity Classification", data description, 2024.
    Thomson, "Spectrum estimation and harmonic analysis", Proc IEEE 1982.
    """
    tapers = _tapers().astype(np.float32)
    low, high = SPECTROGRAM_BINS[0], SPECTROGRAM_BINS[-1] + 1
    n_rows = (eeg.shape[1] - WINDOW) // STEP + 1
    power = np.zeros((len(REGION_PAIRS), n_rows, high - low), np.float32)
    padded = np.zeros((ROWS_AT_ONCE, len(tapers), SPECTROGRAM_NFFT), np.float32)
    for total, pairs in zip(power, REGION_PAIRS.values(), strict=True):
        for first, second in pairs:
            wave = eeg[EEG_COLUMNS.index(first)] - eeg[EEG_COLUMNS.index(second)]
            windows = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::STEP]
            windows = (windows - windows.mean(axis=1, keepdims=True)).astype(np.float32)
            for start in range(0, n_rows, ROWS_AT_ONCE):
                rows = windows[start : start + ROWS_AT_ONCE]
                np.multiply(rows[:, None], tapers, out=padded[: len(rows), :, :WINDOW])
                bins = fft.rfft(padded[: len(rows)], axis=-1)[..., low:high]
                total[start : start + len(rows)] += (bins.real**2 + bins.imag**2).sum(axis=1)
        total /= len(pairs) * len(tapers) * SFREQ
    return power.swapaxes(1, 2)


def round_significant(values: np.ndarray, digits: int = 4) -> np.ndarray:
    """Round to significant digits, so that bytes do not depend on the last bits of an FFT.

    Examples
    --------
    >>> round_significant(np.array([123456.0, 0.00123456]), 3).tolist()
    [123000.0, 0.00123]
    """
    magnitude = np.floor(np.log10(np.maximum(np.abs(values), 1e-30)))
    # Dividing by 10**k is exact to the last bit where multiplying by 10**-k is not.
    scale = 10.0 ** np.abs(digits - 1 - magnitude)
    grow = digits - 1 - magnitude >= 0
    scaled = np.rint(np.where(grow, values * scale, values / scale))
    return np.where(grow, scaled / scale, scaled * scale)
