"""Another amplifier's gain, or another head's: the patterns' names do not depend on it."""

from __future__ import annotations

from torch import Tensor

from .augmenter import AUGMENTATIONS
from .power import Decibels


@AUGMENTATIONS.register("gain")
class Gain(Decibels):
    """Multiply the signal by one number: exact for waves and images, but for their bounds.

    Parameters
    ----------
    probability : float
        Of a change, per window.
    max_db : float, dB
        Largest change, either way; it is drawn evenly.
    """

    def nats(self, drawn: Tensor, freqs_hz: Tensor, band: tuple[float, float]) -> Tensor:
        """The same at every frequency."""
        return drawn.expand(-1, len(freqs_hz))
