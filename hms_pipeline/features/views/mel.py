"""Mel spectra of the EEG: short frames, sharp in time, pooled into mel bands."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ...signal.spectral import mel_power, stft_power
from ..picture import Bands, Hertz, LogScale, Parts, Pixels, eeg_picture, even_freqs
from ..view import view
from ..windows import WindowBatch


@view("mel", inputs=("eeg",), kind="image")
def mel(
    batch: WindowBatch,
    *,
    parts: Parts,
    low_hz: Hertz,
    high_hz: Hertz,
    n_mels: Bands,
    height: Pixels,
    rate_hz: Hertz,
    scale: LogScale,
) -> Tensor:
    """Regional mel spectra of stretches of the 50 s, side by side.

    The spectrum is computed twice as finely as the ``n_mels`` bands, so that none is empty.
    """
    freqs = even_freqs(low_hz, high_hz, 2 * n_mels + 3, rate_hz)

    def power(x: Tensor, starts: np.ndarray, **frames: Any) -> Tensor:
        fine = stft_power(x, starts, freqs_hz=freqs, **frames)
        return mel_power(fine, freqs, n_mels=n_mels, low_hz=low_hz, high_hz=high_hz)

    return eeg_picture(batch, parts, rate_hz, height, scale, power)
