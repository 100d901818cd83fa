"""Changes of power by frequency, in what views hold: images are log power, waves are microvolts."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...schema import SPECTROGRAM_BINS
from .augmenter import Augmentation, Share, ViewInfo

NATS_PER_DB = math.log(10) / 10


def band_hz(view: ViewInfo) -> tuple[float, float]:
    """Lowest and highest frequency of a view; that of a ten-minute spectrogram is its bins'."""
    low, high = float(SPECTROGRAM_BINS[0]), float(SPECTROGRAM_BINS[-1])
    return view.params.get("low_hz", low), view.params.get("high_hz", high)


def add_nats(image: Tensor, nats: Tensor, view: ViewInfo) -> Tensor:
    """Add to the log power of an image, within the bounds of its scale."""
    scale = view.params["scale"]
    low, high = ((scale[key] - scale["mean"]) / scale["std"] for key in ("low", "high"))
    return (image + nats / scale["std"]).clamp(low, high)


class Response(Augmentation):
    """Multiplies power by a function of frequency, alike in all channels and views of a window.

    An image's rows count as evenly spaced over its band (they are in an STFT; mel and wavelet
    rows are denser at low frequencies, so there the same change lies at other frequencies). Waves
    are multiplied in the frequency domain, without a shift in time.
    """

    shared = True

    def nats(self, drawn: Tensor, freqs_hz: Tensor, band: tuple[float, float]) -> Tensor:
        """Log of what power is multiplied by, shape (batch_size, n_freqs)."""
        raise NotImplementedError

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Multiply the power by what is drawn."""
        band = band_hz(view)
        if view.kind == "image":
            freqs = torch.linspace(*band, x.shape[-2], device=x.device)
            return add_nats(x, self.nats(drawn, freqs, band)[:, None, :, None], view)
        n_times = x.shape[-1]
        highest = view.params["rate_hz"] / 2
        freqs = torch.linspace(0, highest, n_times // 2 + 1, device=x.device)
        amplitude = (0.5 * self.nats(drawn, freqs, band)).exp()
        return torch.fft.irfft(torch.fft.rfft(x) * amplitude[:, None], n=n_times)


class Decibels(Response):
    """A response whose strength is one number, drawn evenly from ±``max_db``."""

    def __init__(
        self, *, probability: Share, max_db: Annotated[float, Field(ge=0, le=100)]
    ) -> None:
        super().__init__(probability=probability)
        self.max_db = max_db

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Change of power in nats; 0 where there is none."""
        chosen = self.chosen(rng, n_batches, batch_size)
        drawn = rng.uniform(-self.max_db, self.max_db, (*chosen.shape, self.n_columns))
        return (NATS_PER_DB * drawn * chosen[..., None]).astype(np.float32)
