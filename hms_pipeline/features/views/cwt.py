"""Morlet wavelet spectra of the EEG: logarithmic in frequency."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ...schema import CHAIN_PAIRS, SFREQ, WINDOW_S
from ...signal.montage import derive
from ...signal.wavelet import cwt_power, log_freqs
from ...system.errors import InputError
from ..picture import PAIRS_A_REGION, Bands, Hertz, LogScale, Pixels, Stretches, check_band, resize
from ..view import view
from ..windows import WindowBatch


@view("cwt", inputs=("eeg",), kind="image")
def cwt(
    batch: WindowBatch,
    *,
    parts: Stretches,
    low_hz: Hertz,
    high_hz: Hertz,
    n_freqs: Bands,
    n_cycles: Annotated[float, Field(ge=2, le=20)],
    height: Pixels,
    scale: LogScale,
) -> Tensor:
    """Regional wavelet power of stretches of the 50 s, side by side.

    Each column is the mean power of its stretch of time.
    """
    check_band(low_hz, high_hz, SFREQ)
    longest = max(part.duration_s for part in parts)
    if longest > WINDOW_S:
        raise InputError(
            f"duration_s needs at most {WINDOW_S:g} s, but is {longest:g}. Shorten it."
        )
    powers = cwt_power(
        derive(batch.eeg, CHAIN_PAIRS),
        freqs_hz=log_freqs(low_hz, high_hz, n_freqs),
        n_cycles=n_cycles,
        columns=[((WINDOW_S - p.duration_s) / 2, p.duration_s, p.width) for p in parts],
        pool=PAIRS_A_REGION,
    )
    pairs = zip(powers, parts, strict=True)
    return torch.cat([resize(scale(x), height, p.width) for x, p in pairs], -1)
