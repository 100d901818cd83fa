"""Channels of unequal gain: electrodes differ in contact and place."""

from __future__ import annotations

from torch import Tensor

from .augmenter import AUGMENTATIONS, ViewInfo
from .power import Decibels, add_nats

MOST_CHANNELS = 18


@AUGMENTATIONS.register("channel_scale")
class ChannelScale(Decibels):
    """Multiply each region or derivation by a number of its own; exact, but for bounds.

    Parameters
    ----------
    probability : float
        Of a change, per window and view.
    max_db : float, dB
        Largest change of a channel, either way; each is drawn evenly.
    """

    shared = False
    n_columns = MOST_CHANNELS

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Scale every channel by its drawn factor."""
        nats = drawn[:, : x.shape[1]].view([len(x), -1] + [1] * (x.ndim - 2))
        return add_nats(x, nats, view) if view.kind == "image" else x * (0.5 * nats).exp()
