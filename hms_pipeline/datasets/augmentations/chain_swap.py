"""Left and right exchanged: the patterns' names do not depend on the side."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .augmenter import AUGMENTATIONS, Augmentation, ViewInfo


@AUGMENTATIONS.register("chain_swap")
class ChainSwap(Augmentation):
    """Swap the left and right chains in all views of a window.

    Parameters
    ----------
    probability : float
        Of a swap, per window.
    """

    shared = True

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """1 where left and right are swapped."""
        return self.chosen(rng, n_batches, batch_size)[..., None].astype(np.float32)

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Swap left and right where ``drawn`` says so."""
        # Slices instead of an index tensor: a copy from the host cannot be captured in a graph.
        swapped = torch.stack(
            [
                x[:, channel] if sign == 1 else x[:, channel] * sign
                for channel, sign in zip(view.mirror, view.mirror_sign, strict=True)
            ],
            1,
        )
        return torch.where(drawn.view([-1] + [1] * (x.ndim - 1)) > 0.5, swapped, x)
