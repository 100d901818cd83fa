"""Two windows blended, and their targets with them.

References
----------
Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from torch import Tensor

from .augmenter import AUGMENTATIONS, Augmentation, Share, ViewInfo


@AUGMENTATIONS.register("mixup")
class Mixup(Augmentation):
    """Blend a window with another of its batch, in all views alike.

    Parameters
    ----------
    probability : float
        Of a blend, per window.
    beta : float
        Both parameters of the Beta distribution that the window's own weight is drawn from.
    """

    shared = True
    n_columns = 2

    def __init__(
        self, *, probability: Share, beta: Annotated[float, Field(ge=0.01, le=100)]
    ) -> None:
        super().__init__(probability=probability)
        self.beta = beta

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """The partner's place in the batch and the window's own weight."""
        chosen = self.chosen(rng, n_batches, batch_size)
        places = np.broadcast_to(np.arange(batch_size), chosen.shape)
        partner = rng.permuted(places, axis=1)
        own = np.where(chosen, rng.beta(self.beta, self.beta, chosen.shape), 1.0)
        return np.stack([partner, own], -1).astype(np.float32)

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Blend every window with its partner."""
        return _blend(x, drawn)

    def apply_target(self, target: Tensor, drawn: Tensor) -> Tensor:
        """Blend the targets by the same shares."""
        return _blend(target, drawn)


def _blend(x: Tensor, drawn: Tensor) -> Tensor:
    own = drawn[:, 1].view([-1] + [1] * (x.ndim - 1))
    return own * x + (1 - own) * x.index_select(0, drawn[:, 0].long())
