"""Short-time Fourier spectra of the EEG, regional, linear in frequency."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from ...signal.spectral import stft_power
from ..picture import Bands, Hertz, LogScale, Parts, Pixels, eeg_picture, even_freqs
from ..view import view
from ..windows import WindowBatch


@view("stft", inputs=("eeg",), kind="image")
def stft(
    batch: WindowBatch,
    *,
    parts: Parts,
    low_hz: Hertz,
    high_hz: Hertz,
    n_freqs: Bands,
    height: Pixels,
    rate_hz: Hertz,
    scale: LogScale,
) -> Tensor:
    """Regional STFT of stretches of the 50 s, side by side.

    ``n_freqs`` frequencies are computed from ``low_hz`` to ``high_hz`` and drawn ``height``
    pixels high.
    """
    power = partial(stft_power, freqs_hz=even_freqs(low_hz, high_hz, n_freqs, rate_hz))
    return eeg_picture(batch, parts, rate_hz, height, scale, power)
