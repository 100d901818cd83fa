"""Ten minutes, 50 s and 10 s of one window in one image."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...signal.spectral import stft_power
from ..picture import Bands, Hertz, LogScale, Parts, Pixels, Stretches, eeg_picture, even_freqs
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
    pictures = spectrogram_pictures(batch.spectrogram, spectrogram_parts, height, scale)
    power = partial(stft_power, freqs_hz=even_freqs(low_hz, high_hz, n_freqs, rate_hz))
    eeg = eeg_picture(batch, eeg_parts, rate_hz, height, scale, power)
    return torch.cat([*pictures, eeg], -1)
