"""Spectrograms as small images, with the scale of their colours."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import matplotlib.image
import numpy as np
from numpy.typing import NDArray

from ..schema import REGIONS
from .page import image_uri
from .style import POWER_COLOURS, REGION_NAMES, decibel_range, decibels

Array = NDArray[np.floating]


def spectrogram_png(region: Array, low_db: float, high_db: float) -> bytes:
    """One region, shape (n_freqs, n_rows), low frequencies below; NaN is transparent."""
    power = decibels(np.nan_to_num(region, nan=1.0))
    scaled = np.clip((power - low_db) / (high_db - low_db), 0, 1)
    rgba = matplotlib.colormaps[POWER_COLOURS](scaled, bytes=True)
    rgba[~np.isfinite(region), 3] = 0
    out = io.BytesIO()
    matplotlib.image.imsave(out, rgba[::-1], format="png", metadata={"Software": None})  # type: ignore[dict-item]
    return out.getvalue()


def spectrogram_images(spectrogram: Array | None) -> dict[str, Any] | None:
    """Images of all regions and their scale; None where nothing of it was recorded.

    Parameters
    ----------
    spectrogram : array, shape (4, n_freqs, n_rows), or None
        µV²/Hz, NaN = missing.
    """
    if spectrogram is None or not np.isfinite(spectrogram).any():
        return None
    power = np.asarray(spectrogram, dtype=float)
    low, high = decibel_range(power)
    return {
        "low_db": round(low),
        "high_db": round(high),
        "images": [
            {"region": r, "name": REGION_NAMES[r], "uri": image_uri(spectrogram_png(p, low, high))}
            for r, p in zip(REGIONS, power, strict=True)
        ],
    }
