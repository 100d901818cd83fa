"""Parts of wave views: band-pass at a lower rate, fixed clip and scale."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ..schema import SFREQ
from ..signal.filters import band_pass, clip_scale
from ..system.errors import InputError

Microvolts = Annotated[float, Field(ge=1, le=1e4)]  # float16 holds their ratio
Order = Annotated[int, Field(ge=1, le=10)]


def filtered_waves(
    x: Tensor,
    low_hz: float,
    high_hz: float,
    order: int,
    rate_hz: float,
    clip_uv: float,
    scale_uv: float,
) -> Tensor:
    """Zero-phase band-pass, resampling, clip to ±``clip_uv``, division by ``scale_uv``.

    Parameters
    ----------
    x : Tensor, shape (B, n_rows, 10000)
        Derivations in µV at 200 Hz.

    Returns
    -------
    Tensor, shape (B, n_rows, 50 * rate_hz)

    Raises
    ------
    InputError
        ``rate_hz`` is too low to hold the band.
    """
    if not 2 * high_hz < rate_hz <= SFREQ:
        raise InputError(
            f"rate_hz needs to lie above {2 * high_hz:g} Hz (twice high_hz) and at most at"
            f" {SFREQ:g} Hz, but is {rate_hz:g}. Correct it."
        )
    filtered = band_pass(x, low_hz, high_hz, order=order, rate_hz=rate_hz)
    return clip_scale(filtered, clip_uv, scale_uv)
