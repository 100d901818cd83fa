"""Multitaper spectra of the EEG: the competition's estimator on the 50 s and the central 10 s."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from torch import Tensor

from ...signal.multitaper import multitaper_power
from ...system.errors import InputError
from ..picture import PAIRS_A_REGION, Bands, Hertz, LogScale, Parts, Pixels, eeg_picture
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
    freqs = tuple(np.linspace(low_hz, high_hz, n_freqs).tolist())

    def power(x: Tensor, starts: np.ndarray, n_window: int, sfreq: float) -> Tensor:
        if 2 * nw >= n_window:
            raise InputError(
                f"nw needs to be below {n_window / 2:g} (half the {n_window} samples of a frame),"
                f" but is {nw:g}. Lower it, or lengthen window_s."
            )
        return multitaper_power(
            x,
            starts,
            n_window=n_window,
            freqs_hz=freqs,
            nw=nw,
            n_tapers=n_tapers,
            sfreq=sfreq,
            pool=PAIRS_A_REGION,
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
