"""Short-time Fourier spectra of the EEG, regional, linear in frequency."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...signal.spectral import stft_power
from ..picture import PAIRS_A_REGION, Bands, Hertz, LogScale, Parts, Pixels, eeg_picture
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
    freqs = tuple(np.linspace(low_hz, high_hz, n_freqs).tolist())

    def power(x: Tensor, starts: np.ndarray, n_window: int, sfreq: float) -> Tensor:
        return stft_power(
            x, starts, n_window=n_window, freqs_hz=freqs, sfreq=sfreq, pool=PAIRS_A_REGION
        )

    return eeg_picture(
        batch,
        parts,
        rate_hz=rate_hz,
        low_hz=low_hz,
        high_hz=high_hz,
        height=height,
        scale=scale,
        power=power,
    )
