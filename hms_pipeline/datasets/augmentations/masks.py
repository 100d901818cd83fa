"""Masks of a stretch of time or a band of frequencies.

References
----------
Park et al., "SpecAugment", Interspeech 2019.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .augmenter import AUGMENTATIONS, Augmentation, Share, ViewInfo


class Mask(Augmentation):
    """Set a random stretch along one axis to 0, in all channels.

    Parameters
    ----------
    probability : float
        Of a mask, per window.
    max_fraction : float
        Largest share of the axis that is masked; the share is uniform in 0..max_fraction.
    """

    n_columns = 2
    axis = -1

    def __init__(self, *, probability: Share, max_fraction: Share) -> None:
        super().__init__(probability=probability)
        self.max_fraction = max_fraction

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Start and stop, as shares of the axis."""
        chosen = self.chosen(rng, n_batches, batch_size)
        width = rng.uniform(0, self.max_fraction, chosen.shape) * chosen
        start = rng.random(chosen.shape) * (1 - width)
        return np.stack([start, start + width], -1).astype(np.float32)

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Set the drawn stretch to zero."""
        n = x.shape[self.axis]
        place = (torch.arange(n, device=x.device, dtype=torch.float32) + 0.5) / n
        mask = (place >= drawn[:, :1]) & (place < drawn[:, 1:])  # (batch, n)
        shape = [len(x)] + [1] * (x.ndim - 1)
        shape[self.axis] = n
        return x.masked_fill(mask.view(shape), 0.0)


@AUGMENTATIONS.register("time_mask")
class TimeMask(Mask):
    """Mask a stretch of time."""


@AUGMENTATIONS.register("frequency_mask")
class FrequencyMask(Mask):
    """Mask a band of frequencies of an image."""

    kinds = ("image",)
    axis = -2
