"""One window as a picture: EEG, ten-minute spectrogram, probabilities against votes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec
from numpy.typing import NDArray

from hms_pipeline.report.montage import GROUPS, NAMES, SIDES, baselines, screen_traces
from hms_pipeline.report.style import (
    ACCENT,
    CLASS_COLOURS,
    FAINT,
    INK,
    SOFT,
    decibel_range,
    decibels,
    figure,
)
from hms_pipeline.schema import (
    CLASS_LABELS,
    CLASSES,
    LABEL_S,
    REGIONS,
    SFREQ,
    SPECTROGRAM_FREQS,
    SPECTROGRAM_S,
    WINDOW_S,
)

Array = NDArray[np.floating]
SIDE_COLOURS = {"left": "#23518f", "midline": INK, "right": "#9c2f3f"}
REGION_NAMES = dict(
    zip(
        REGIONS,
        ("left temporal", "right temporal", "left parasagittal", "right parasagittal"),
        strict=True,
    )
)
SPACINGS_UV = (30, 50, 75, 100, 150, 200, 300, 500, 1000)


def spacing_uv(traces: np.ndarray) -> int:
    """Distance between traces that shows typical activity without overlap, microvolts."""
    present = traces[np.isfinite(traces)]
    wanted = 1.1 * np.quantile(np.abs(present), 0.97) if present.size else 0.0
    return next((s for s in SPACINGS_UV if s >= wanted), SPACINGS_UV[-1])


def plot_window(
    eeg: Array,
    spectrogram: Array | None,
    probs: Array,
    votes: Array | None = None,
    out: Path = Path("window.png"),
    title: str | None = None,
) -> Path:
    """Draw a window.

    Parameters
    ----------
    eeg : array, shape (20, 10000)
        Microvolts, NaN = missing.
    spectrogram : array, shape (4, 100, 300), or None
        µV²/Hz, NaN = missing.
    probs : array, shape (6,)
    votes : array, shape (6,), optional
        Experts' counts.
    out : Path
        PNG file.
    title : str, optional

    Returns
    -------
    Path
        ``out``.
    """
    with figure(Path(out), 13.0, 6.6) as drawn:
        left, right = drawn.add_gridspec(1, 2, width_ratios=(1.75, 1))
        _draw_eeg(drawn.add_subplot(left), np.asarray(eeg))
        grid = GridSpecFromSubplotSpec(5, 1, right, height_ratios=(1, 1, 1, 1, 2.3))
        axes = [drawn.add_subplot(grid[i]) for i in range(4)]
        _draw_spectrogram(axes, spectrogram)
        _draw_probs(drawn.add_subplot(grid[4]), np.asarray(probs), votes)
        if title:
            drawn.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return Path(out)


def _draw_eeg(axes: Axes, eeg: Array) -> None:
    traces = screen_traces(eeg)
    spacing = spacing_uv(traces)
    heights = baselines()
    time = np.arange(traces.shape[1]) / SFREQ
    centre = WINDOW_S / 2
    axes.axvspan(centre - LABEL_S / 2, centre + LABEL_S / 2, color="#fbf0cf", zorder=0, linewidth=0)
    for trace, height, side in zip(traces, heights, SIDES, strict=True):
        shown = np.clip(trace / spacing, -1.6, 1.6)
        axes.plot(time, -height + shown, color=SIDE_COLOURS[side], linewidth=0.45)
    axes.set_yticks(-heights, NAMES, fontsize=7.5)
    axes.set(xlim=(0, WINDOW_S), ylim=(-heights[-1] - 2.3, 1.9))
    axes.set_xlabel("seconds")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xticks(np.arange(0, WINDOW_S + 1, 5))
    axes.grid(axis="x", linewidth=0.5)
    axes.text(centre, 1.35, "experts judged these 10 s", ha="center", fontsize=7.5, color="#8a6d1d")
    edges = np.cumsum([0, *(len(pairs) for pairs in GROUPS.values())])
    for name, first, last in zip(GROUPS, edges[:-1], edges[1:] - 1, strict=True):
        axes.text(
            1.005, -(heights[first] + heights[last]) / 2, name, rotation=270, fontsize=7,
            color=SIDE_COLOURS[name.split()[0]], ha="left", va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    base = -heights[-1] - 1.9
    axes.plot([0.6, 0.6], [base, base + 1], color=INK, linewidth=1.6, solid_capstyle="butt")
    axes.text(1.0, base + 0.5, f"{spacing} µV", fontsize=8, va="center")
    axes.set_title("EEG, double banana, 0.5–30 Hz")


def _draw_spectrogram(axes: list[Axes], spectrogram: Array | None) -> None:
    axes[0].set_title("Ten minutes around it, power by region")
    for ax, region, row in zip(axes, REGIONS, (0, 1, 2, 3), strict=True):
        last = row == len(axes) - 1
        ax.set_ylabel(region, rotation=0, ha="right", va="center", fontweight="bold", fontsize=8)
        ax.set_yticks([5, 15])
        ax.tick_params(labelsize=7)
        ax.set(xlim=(0, SPECTROGRAM_S / 60), ylim=(SPECTROGRAM_FREQS[0], SPECTROGRAM_FREQS[-1]))
        ax.set_xticks(range(0, 11, 2), [str(t) for t in range(0, 11, 2)] if last else [])
        if spectrogram is None:
            ax.set_facecolor(FAINT)
            ax.text(5, 10, "not recorded", ha="center", va="center", color=SOFT, fontsize=8)
            continue
        power = decibels(np.asarray(spectrogram, float)[row])
        low, high = decibel_range(spectrogram)
        ax.imshow(
            power, aspect="auto", origin="lower", cmap="magma", vmin=low, vmax=high,
            extent=(0, SPECTROGRAM_S / 60, SPECTROGRAM_FREQS[0], SPECTROGRAM_FREQS[-1]),
            interpolation="nearest",
        )  # fmt: skip
        for edge in (-WINDOW_S / 2, WINDOW_S / 2):
            ax.axvline((SPECTROGRAM_S / 2 + edge) / 60, color="white", linewidth=0.8, alpha=0.9)
        ax.text(
            0.985, 0.86, REGION_NAMES[region], transform=ax.transAxes, ha="right", va="top",
            color="white", fontsize=7,
        )  # fmt: skip
    axes[-1].set_xlabel("minutes (lines: the 50 s)  ·  Hz", fontsize=8)


def _draw_probs(axes: Axes, probs: Array, votes: Array | None) -> None:
    y = np.arange(len(CLASSES))
    colours = [CLASS_COLOURS[name] for name in CLASSES]
    axes.barh(y, probs, height=0.62, color=colours)
    for i, prob in enumerate(probs):
        axes.text(max(prob, 0) + 0.015, i, f"{prob:.0%}", va="center", fontsize=8)
    if votes is not None:
        share = np.asarray(votes, float) / np.sum(votes)
        axes.scatter(
            share, y, marker="D", s=42, facecolor="white", edgecolor=INK, linewidth=1.2, zorder=4,
            label=f"share of {int(np.sum(votes))} experts' votes",
        )  # fmt: skip
        axes.legend(loc="lower right", fontsize=8)
    axes.set_yticks(y, CLASS_LABELS)
    axes.invert_yaxis()
    axes.set_xlim(-0.025, 1.08)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_title("Ensemble's probabilities", color=ACCENT)
