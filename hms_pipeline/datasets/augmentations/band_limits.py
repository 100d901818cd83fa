"""An amplifier's high-pass and low-pass filters."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...system.errors import InputError
from .augmenter import AUGMENTATIONS, Share
from .power import Response

OFF_LOW_HZ, OFF_HIGH_HZ = 1e-3, 1e4  # cuts that change nothing
Cut = Annotated[float, Field(ge=OFF_LOW_HZ, le=100)]


@AUGMENTATIONS.register("band_limits")
class BandLimits(Response):
    """Second-order Butterworth high-pass and low-pass, by their power.

    Parameters
    ----------
    probability : float
        Of each of the two, per window.
    max_low_hz : float, Hz
        Highest cut of the high-pass; it is drawn evenly from 0 on.
    min_high_hz : float, Hz
        Lowest cut of the low-pass; it is drawn evenly up to twice as much.
    """

    n_columns = 2

    def __init__(self, *, probability: Share, max_low_hz: Cut, min_high_hz: Cut) -> None:
        super().__init__(probability=probability)
        if max_low_hz >= min_high_hz:
            raise InputError(
                "training.augmentation.band_limits needs max_low_hz below min_high_hz, but they are"
                f" {max_low_hz} and {min_high_hz}. Correct them."
            )
        self.max_low_hz, self.min_high_hz = max_low_hz, min_high_hz

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Cuts of the high-pass and of the low-pass, Hz."""
        size = (n_batches, batch_size)
        low = rng.uniform(OFF_LOW_HZ, self.max_low_hz, size)
        high = rng.uniform(self.min_high_hz, 2 * self.min_high_hz, size)
        low = np.where(self.chosen(rng, *size), low, OFF_LOW_HZ)
        high = np.where(self.chosen(rng, *size), high, OFF_HIGH_HZ)
        return np.stack([low, high], -1).astype(np.float32)

    def nats(self, drawn: Tensor, freqs_hz: Tensor, band: tuple[float, float]) -> Tensor:
        """-ln(1 + (low / f)^4) - ln(1 + (f / high)^4)."""
        freqs = freqs_hz.clamp_min(OFF_LOW_HZ)
        return -torch.log1p((drawn[:, :1] / freqs) ** 4) - torch.log1p((freqs / drawn[:, 1:]) ** 4)
