"""One look for every figure: colours of the classes and of power, fonts, files of equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..schema import CLASSES, REGIONS

# Distinct for the colour-blind, legible on white and on black.
CLASS_COLOURS = dict(
    zip(CLASSES, ("#d1495b", "#e8873a", "#d4b02a", "#2a9d8f", "#3d7fc4", "#8b95a3"), strict=True)
)
CLASS_LONG = {
    "lpd": "lateralized periodic discharges",
    "gpd": "generalized periodic discharges",
    "lrda": "lateralized rhythmic delta activity",
    "grda": "generalized rhythmic delta activity",
    "other": "none of these, such as ordinary background or artefact",
}
REGION_NAMES = dict(
    zip(
        REGIONS,
        ("left temporal", "right temporal", "left parasagittal", "right parasagittal"),
        strict=True,
    )
)
POWER_COLOURS = "magma"
INK, SOFT, FAINT = "#1f2933", "#66727f", "#dde3e9"
ACCENT = "#31577f"

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Draw into a new figure (inches) and save it as PNG; equal drawings give equal bytes."""
    with mpl.rc_context(RC):
        drawn = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, dpi=130, format="png", metadata={"Software": None})


def decibels(power: NDArray[np.floating]) -> NDArray[np.floating]:
    """Power (µV²/Hz) in dB, from -30 dB upwards; NaN stays."""
    return 10 * np.log10(np.maximum(power, 1e-3))


def decibel_range(spectrogram: NDArray[np.floating]) -> tuple[float, float]:
    """Limits of the colours, dB: the dimmest 3 % and the brightest 0.5 % are cut."""
    present = np.asarray(spectrogram, float)
    present = present[np.isfinite(present)]
    if not present.size:
        return -10.0, 30.0
    low, high = decibels(np.quantile(present, [0.03, 0.995]))
    return float(low), float(max(high, low + 1))


def gradient() -> str:
    """The colours of power as stops of a CSS gradient, from the dimmest to the brightest."""
    colours = mpl.colormaps[POWER_COLOURS](np.linspace(0, 1, 9))
    return ", ".join(mpl.colors.to_hex(colour) for colour in colours)
