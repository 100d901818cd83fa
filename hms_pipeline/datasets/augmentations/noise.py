"""Noise of amplifier and room, spread evenly over the band.

Mains hum needs none of it: 50 and 60 Hz lie above every view's band.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from .augmenter import AUGMENTATIONS, Augmentation, Share, ViewInfo
from .power import add_nats, band_hz

N_WAVES = 24  # sines that make up the noise of waves
GOLDEN = 2.399963  # radians; phases of neighbouring channels this far apart have no pattern


@AUGMENTATIONS.register("noise")
class Noise(Augmentation):
    """Add white noise: its power to images, a sum of sines with drawn frequencies to waves.

    Parameters
    ----------
    probability : float
        Of noise, per window.
    max_uv : float, µV
        Largest standard deviation within the view's band; it is drawn evenly.
    """

    shared = True
    n_columns = 1 + 2 * N_WAVES

    def __init__(
        self, *, probability: Share, max_uv: Annotated[float, Field(ge=0, le=1e4)]
    ) -> None:
        super().__init__(probability=probability)
        self.max_uv = max_uv

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Standard deviation (µV), then the sines' places in the band and phases (turns)."""
        chosen = self.chosen(rng, n_batches, batch_size)
        drawn = rng.random((*chosen.shape, self.n_columns))
        drawn[..., 0] *= self.max_uv * chosen
        return drawn.astype(np.float32)

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Add the drawn noise."""
        low, high = band_hz(view)
        sd_uv, place, turns = drawn[:, 0], drawn[:, 1 : 1 + N_WAVES], drawn[:, 1 + N_WAVES :]
        if view.kind == "image":
            scale = view.params["scale"]
            density = (sd_uv**2 / (high - low)).view(-1, 1, 1, 1)  # µV²/Hz
            power = (x * scale["std"] + scale["mean"]).exp()
            return add_nats(x, torch.log1p(density / power), view)
        t_s = torch.arange(x.shape[-1], device=x.device) / view.params["rate_hz"]
        omega = 2 * math.pi * (low + place * (high - low))
        shift = GOLDEN * torch.arange(x.shape[1], device=x.device)
        phase = 2 * math.pi * turns[..., None] * (1 + shift)  # (batch, N_WAVES, n_chans)
        # sin(a + b) in two products, so that no (batch, waves, chans, times) array is made.
        angle = omega[..., None] * t_s  # (batch, N_WAVES, n_times)
        sines = phase.cos().mT @ angle.sin() + phase.sin().mT @ angle.cos()
        amplitude = sd_uv * math.sqrt(2 / N_WAVES) / view.params["scale_uv"]
        return x + amplitude.view(-1, 1, 1) * sines
