"""A slope of the spectrum, as age, drugs, skull and electrodes leave it."""

from __future__ import annotations

from torch import Tensor

from .augmenter import AUGMENTATIONS
from .power import Decibels


@AUGMENTATIONS.register("tilt")
class Tilt(Decibels):
    """Raise one end of the band and lower the other by as much, along a straight line in dB.

    Parameters
    ----------
    probability : float
        Of a change, per window.
    max_db : float, dB
        Largest change at the ends of the band, either way; it is drawn evenly.
    """

    def nats(self, drawn: Tensor, freqs_hz: Tensor, band: tuple[float, float]) -> Tensor:
        """From minus to plus what was drawn; the ends' values beyond the band."""
        low, high = band
        place = ((freqs_hz - low) / (high - low)).clamp(0, 1)
        return drawn * (2 * place - 1)
