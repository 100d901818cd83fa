"""Multitaper spectra of the EEG: the competition's estimator on the 50 s and the central 10 s."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor

from ...signal.multitaper import multitaper_power
from ..picture import Bands, Hertz, LogScale, Parts, Pixels, eeg_picture, even_freqs
from ..view import view
from ..windows import WindowBatch


@view("multitaper", inputs=("eeg",), kind="image")
def multitaper(
    batch: WindowBatch,
    *,
    parts: Parts,
    low_hz: Hertz,
    high_hz: Hertz,
    n_freqs: Bands,
    nw: Annotated[float, Field(ge=1, le=16)],
    n_tapers: Annotated[int, Field(ge=1, le=8)],
    height: Pixels,
    rate_hz: Hertz,
    scale: LogScale,
) -> Tensor:
    """Regional multitaper spectra of stretches of the 50 s, side by side.

    With frames of 4 s, ``nw`` 2 and 3 tapers it is the estimator of the ten-minute spectrogram,
    at a finer step.
    """
    freqs = even_freqs(low_hz, high_hz, n_freqs, rate_hz)
    power = partial(multitaper_power, freqs_hz=freqs, nw=nw, n_tapers=n_tapers)
    return eeg_picture(batch, parts, rate_hz, height, scale, power)
