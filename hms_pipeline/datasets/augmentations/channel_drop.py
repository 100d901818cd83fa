"""Channels lost: a network should not lean on one electrode."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .augmenter import AUGMENTATIONS, Augmentation, ViewInfo


@AUGMENTATIONS.register("channel_drop")
class ChannelDrop(Augmentation):
    """Set one region or derivation to 0.

    Parameters
    ----------
    probability : float
        Of a lost channel, per window and view.
    """

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Place of the lost channel as a share in 0..1 of the channels; -1: none."""
        chosen = self.chosen(rng, n_batches, batch_size)
        return np.where(chosen, rng.random(chosen.shape), -1.0)[..., None].astype(np.float32)

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Set the drawn channel to zero."""
        n_chans = x.shape[1]
        lost = torch.floor(drawn * n_chans)  # (batch, 1); negative: none
        mask = torch.arange(n_chans, device=x.device) == lost
        return x.masked_fill(mask.view([len(x), n_chans] + [1] * (x.ndim - 2)), 0.0)
