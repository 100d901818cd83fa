"""What changes from retrain to retrain and from day to day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from .style import ACCENT, SOFT, figure


def plot_versions(path: Path, versions: Sequence[Mapping[str, Any]]) -> Path:
    """KL of registered versions with intervals; the champion is filled.

    Parameters
    ----------
    path : Path
        PNG file.
    versions : sequence of mapping
        As ``registry.api.list_versions`` gives them; those without a KL are left out.
    """
    rows = sorted((v for v in versions if v["kl"] is not None), key=lambda v: v["version"])
    with figure(path, 8.0, 3.0) as drawn:
        axes = drawn.add_subplot()
        axes.plot(range(len(rows)), [row["kl"] for row in rows], color=SOFT, linewidth=1)
        for x, row in enumerate(rows):
            if row["interval"]:
                axes.vlines(x, *row["interval"], color=ACCENT, linewidth=1.5)
            fill = ACCENT if "champion" in row["aliases"] else "white"
            axes.plot(x, row["kl"], "o", color=ACCENT, markerfacecolor=fill, markersize=7)
        axes.set_xticks(range(len(rows)), [f"{row['version']}\n{row['recipe']}" for row in rows])
        axes.set_xlim(-0.5, max(len(rows), 2) - 0.5)
        axes.set(xlabel="version and recipe", ylabel="KL, nats")
        axes.set_title("KL on windows with many votes; filled: champion")
        axes.grid(axis="y")
    return path


def plot_drift(path: Path, curves: Mapping[str, Mapping[int, float]], warning: float) -> Path:
    """Population stability index over the days, a curve for each quantity.

    Parameters
    ----------
    path : Path
        PNG file.
    curves : mapping of str to mapping of int to float
        Quantity → day since 1970 → index.
    warning : float
        The index from which a quantity counts as moved.
    """
    with figure(path, 8.0, 3.0) as drawn:
        axes = drawn.add_subplot()
        for name, curve in curves.items():
            days = np.array(list(curve), dtype="datetime64[D]")
            axes.plot(days, list(curve.values()), marker="o", markersize=4, label=name)
        axes.axhline(warning, color=SOFT, linestyle="--", linewidth=1, label="counts as moved")
        shown = np.array([day for curve in curves.values() for day in curve], "datetime64[D]")
        axes.set_xlim(shown.min() - 1, shown.max() + 1)  # one day alone would stand among years
        locator = AutoDateLocator(minticks=1, maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set(ylabel="stability index", ylim=(0, None))
        axes.set_title("How far what is scored has moved from the training's")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        axes.grid(axis="y")
    return path
