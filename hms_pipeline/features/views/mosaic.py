"""Ten minutes, 50 s and 10 s of one window in one image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...signal.spectral import stft_power
from ..picture import PAIRS_A_REGION, Bands, Hertz, LogScale, Parts, Pixels, Stretches, eeg_picture
from ..view import view
from ..windows import WindowBatch
from .spec_multi import spectrogram_pictures


@view("mosaic", inputs=("eeg", "spectrogram"), kind="image")
def mosaic(
    batch: WindowBatch,
    *,
    spectrogram_parts: Stretches,
    eeg_parts: Parts,
    low_hz: Hertz,
    high_hz: Hertz,
    n_freqs: Bands,
    height: Pixels,
    rate_hz: Hertz,
    scale: LogScale,
) -> Tensor:
    """The spectrogram beside STFTs of the EEG: the same regions and band, three time scales."""
    freqs = tuple(np.linspace(low_hz, high_hz, n_freqs).tolist())

    def power(x: Tensor, starts: np.ndarray, n_window: int, sfreq: float) -> Tensor:
        return stft_power(
            x, starts, n_window=n_window, freqs_hz=freqs, sfreq=sfreq, pool=PAIRS_A_REGION
        )

    pictures = spectrogram_pictures(batch.spectrogram, spectrogram_parts, height, scale)
    eeg = eeg_picture(
        batch,
        eeg_parts,
        rate_hz=rate_hz,
        low_hz=low_hz,
        high_hz=high_hz,
        height=height,
        scale=scale,
        power=power,
    )
    return torch.cat([*pictures, eeg], -1)
