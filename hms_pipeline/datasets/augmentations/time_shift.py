"""Small shifts of a window: the label does not hang on the exact start."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .augmenter import AUGMENTATIONS, Augmentation, Share, ViewInfo


@AUGMENTATIONS.register("time_shift")
class TimeShift(Augmentation):
    """Shift waves along time; what enters at the edge is 0.

    Images join panes of several durations, so one shift has no single size there.

    Parameters
    ----------
    probability : float
        Of a shift, per window.
    max_fraction : float
        Largest shift, either way, as a share of the window.
    """

    kinds = ("waves",)
    shared = True

    def __init__(self, *, probability: Share, max_fraction: Share) -> None:
        super().__init__(probability=probability)
        self.max_fraction = max_fraction

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Shift as a share of the window; positive: later."""
        chosen = self.chosen(rng, n_batches, batch_size)
        shift = rng.uniform(-self.max_fraction, self.max_fraction, chosen.shape)
        return (shift * chosen)[..., None].astype(np.float32)

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Shift every window by its drawn share of the length."""
        n_times = x.shape[-1]
        source = torch.arange(n_times, device=x.device) - torch.round(drawn * n_times).long()
        inside = (source >= 0) & (source < n_times)  # (batch, n_times)
        place = source.clamp(0, n_times - 1)[:, None].expand_as(x)
        return x.gather(-1, place).masked_fill(~inside[:, None], 0.0)
