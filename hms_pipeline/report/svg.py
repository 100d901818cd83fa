"""Drawings for HTML reports: scalable, coloured by the page, small.

Colours are the page's CSS variables, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib.image
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ..schema import CLASSES, LABEL_S, REGIONS, WINDOW_S
from .montage import NAMES, SIDES, baselines, screen_traces, spacing_uv
from .page import clock, image_uri
from .style import CLASS_COLOURS, decibel_range, decibels

Array = NDArray[np.floating]

EEG_COLUMNS_PX = 1000  # drawn columns; each shows the least and greatest of its samples
LEFT, RIGHT, WIDTH = 58, 8, 1000
TICKS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600)


def eeg_svg(eeg: Array, start_s: float = 0.0) -> Markup:
    """A window in the double banana, its central 10 s marked, with a µV bar.

    Parameters
    ----------
    eeg : array, shape (20, 10000)
        Microvolts, NaN = missing.
    start_s : float
        Where the window begins in its recording.
    """
    traces = screen_traces(np.asarray(eeg))
    spacing = spacing_uv(traces)
    step = 23.0  # drawing units between traces
    heights = 30 + baselines() * step
    bottom = float(heights[-1]) + 58
    x0, scale = LEFT, (WIDTH - LEFT - RIGHT) / WINDOW_S

    def x_of(seconds: float) -> float:
        return x0 + seconds * scale

    middle = WINDOW_S / 2
    parts = [
        f'<rect class="label-span" x="{x_of(middle - LABEL_S / 2):.1f}" y="6"'
        f' width="{LABEL_S * scale:.1f}" height="{bottom - 6:.1f}"/>'
    ]
    for second in range(0, int(WINDOW_S) + 1, 5):
        x = x_of(second)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="6" x2="{x:.1f}" y2="{bottom:.1f}"/>')
        if second % 10 == 0:
            anchor = "end" if second == WINDOW_S else "middle"
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 13:.1f}" text-anchor="{anchor}">'
                f"{clock(start_s + second)}</text>"
            )
    for trace, height, name, side in zip(traces, heights, NAMES, SIDES, strict=True):
        parts.append(
            f'<text class="name" x="{x0 - 6}" y="{height + 3.5:.1f}" text-anchor="end">'
            f"{name}</text>"
        )
        parts.append(
            f'<path class="trace {side}" d="{_trace_path(trace / spacing, height, step)}"/>'
        )
    parts.append(
        f'<path class="bar" d="M{x0 + 6},{bottom - 2:.1f}v{-step}"/>'
        f'<text class="name" x="{x0 + 11}" y="{bottom - 9:.1f}">{spacing} µV</text>'
    )
    return _svg(parts, bottom + 18, "eeg", "EEG in the longitudinal bipolar montage")


def _trace_path(trace: Array, height: float, step: float) -> str:
    """Least and greatest of every drawn column, in tenths of a unit, relative coordinates."""
    n_columns = min(EEG_COLUMNS_PX, len(trace))
    usable = len(trace) // n_columns * n_columns
    columns = np.clip(trace[:usable].reshape(n_columns, -1), -1.7, 1.7)
    known: Any = np.isfinite(columns).all(axis=1)
    low = np.where(known, columns.min(axis=1), 0.0)
    high = np.where(known, columns.max(axis=1), 0.0)
    rising = columns[:, -1] >= columns[:, 0]
    first, second = np.where(rising, low, high), np.where(rising, high, low)
    x = LEFT + (np.arange(n_columns) + 0.5) * (WIDTH - LEFT - RIGHT) / n_columns
    y = np.stack([height - first * step, height - second * step], axis=1)
    x10 = np.rint(x * 10).astype(int)
    y10 = np.rint(y * 10).astype(int)
    path, pen = [], None
    for i in range(n_columns):
        if not known[i]:
            pen = None
            continue
        if pen is None:
            path.append(f"M{x10[i] / 10:g},{y10[i, 0] / 10:g}")
        else:
            path.append(f"l{(x10[i] - pen[0]) / 10:g},{(y10[i, 0] - pen[1]) / 10:g}")
        if y10[i, 1] != y10[i, 0]:
            path.append(f"v{(y10[i, 1] - y10[i, 0]) / 10:g}")
        pen = (x10[i], y10[i, 1])
    return "".join(path)


def spectrogram_png(region: Array, low_db: float, high_db: float) -> bytes:
    """One region, shape (n_freqs, n_rows), as an image; NaN is transparent."""
    power = decibels(np.nan_to_num(region, nan=1.0))
    scaled = np.clip((power - low_db) / (high_db - low_db), 0, 1)
    rgba = matplotlib.colormaps["magma"](scaled, bytes=True)
    rgba[~np.isfinite(region), 3] = 0
    out = io.BytesIO()
    matplotlib.image.imsave(out, rgba[::-1], format="png", metadata={"Software": None})  # type: ignore[dict-item]
    return out.getvalue()


def timeline_svg(
    centre_s: Array,
    probs: Array,
    hop_s: float,
    duration_s: float,
    disagreement: Array | None = None,
    spectrogram: Array | None = None,
    spectrogram_times_s: Array | None = None,
    notable_s: Sequence[float] = (),
    pauses_s: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Probabilities over a recording, stacked, above its spectrogram on the same time axis.

    Parameters
    ----------
    centre_s : array, shape (n,)
        Centres of the scored windows, ascending.
    probs : array, shape (n, 6)
    hop_s, duration_s : float
    disagreement : array, shape (n,), optional
        Between members, nats.
    spectrogram : array, shape (4, n_freqs, n_rows), optional
        µV²/Hz, NaN = missing.
    spectrogram_times_s : array, shape (n_rows,), optional
        Centres of its rows; spread evenly over the recording where None.
    notable_s : sequence of float
        Centres of the windows that are shown below, numbered in this order.
    pauses_s : sequence of (float, float)
        When nothing was recorded; shaded, and time like all other.
    """
    scale = (WIDTH - LEFT - RIGHT) / max(duration_s, 1e-9)
    parts: list[str] = []
    y = 22.0
    parts += [_marker(LEFT + s * scale, i + 1) for i, s in enumerate(notable_s)]
    parts += _stacked(centre_s, probs, hop_s, scale, duration_s, y, 150)
    y += 150 + 6
    parts += _leading(centre_s, probs, hop_s, scale, duration_s, y, 10)
    y += 10 + 8
    if disagreement is not None and len(disagreement):
        parts += _disagreement(centre_s, disagreement, hop_s, scale, y, 34)
        y += 34 + 10
    if spectrogram is not None and np.isfinite(spectrogram).any():
        parts += _spectrogram(spectrogram, spectrogram_times_s, scale, duration_s, y, 52)
        y += len(REGIONS) * 55 + 3
    parts += [
        f'<rect class="pause" x="{LEFT + a * scale:.1f}" y="22"'
        f' width="{max((b - a) * scale, 1.0):.1f}" height="{y - 22:.1f}"/>'
        for a, b in pauses_s
    ]
    parts += [
        f'<line class="notable" x1="{LEFT + s * scale:.1f}" y1="20" x2="{LEFT + s * scale:.1f}"'
        f' y2="{y:.1f}"/>'
        for s in notable_s
    ]
    parts += _time_axis(duration_s, scale, y)
    parts.append(f'<line class="cursor" x1="0" y1="20" x2="0" y2="{y:.1f}" visibility="hidden"/>')
    return _svg(parts, y + 20, "timeline", "Probabilities over the recording, spectrogram below")


def _segments(centre_s: Array, hop_s: float) -> list[NDArray[np.int64]]:
    """Runs of windows without a gap."""
    breaks = np.flatnonzero(np.diff(centre_s) > 1.5 * hop_s) + 1
    return np.split(np.arange(len(centre_s)), breaks)


def _stacked(
    centre_s: Array, probs: Array, hop_s: float, scale: float, end_s: float, y: float, height: float
) -> list[str]:
    parts = [
        f'<rect class="empty" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{height}"/>'
    ]
    for rows in _segments(centre_s, hop_s):
        time = np.concatenate(
            [[centre_s[rows[0]] - hop_s / 2], centre_s[rows], [centre_s[rows[-1]] + hop_s / 2]]
        )
        x = LEFT + np.clip(time, 0, end_s) * scale
        share = probs[rows][[0, *range(len(rows)), -1]]
        # `other` lies at the bottom, so that what matters rises above it
        order = [len(CLASSES) - 1, *range(len(CLASSES) - 1)]
        upper = np.zeros(len(x))
        for k in order:
            lower, upper = upper, upper + share[:, k]
            top = zip(x, y + height * (1 - np.minimum(upper, 1)), strict=True)
            under = zip(x[::-1], y + height * (1 - lower[::-1]), strict=True)
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in (*top, *under))
            parts.append(f'<polygon fill="{CLASS_COLOURS[CLASSES[k]]}" points="{points}"/>')
    for level in (0, 0.5, 1):
        at = y + height * (1 - level)
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">'
            f"{level:.0%}</text>"
        )
    return parts


def _leading(
    centre_s: Array, probs: Array, hop_s: float, scale: float, end_s: float, y: float, height: float
) -> list[str]:
    """Most probable class over time, neighbours of one class joined."""
    leading = probs.argmax(axis=1)
    parts = [
        f'<text class="tick" x="{LEFT - 6}" y="{y + height - 1:.1f}" text-anchor="end">'
        "leading</text>"
    ]
    for rows in _segments(centre_s, hop_s):
        for run in np.split(rows, np.flatnonzero(np.diff(leading[rows])) + 1):
            a = max(centre_s[run[0]] - hop_s / 2, 0)
            b = min(centre_s[run[-1]] + hop_s / 2, end_s)
            parts.append(
                f'<rect fill="{CLASS_COLOURS[CLASSES[leading[run[0]]]]}" x="{LEFT + a * scale:.1f}"'
                f' y="{y:.1f}" width="{max((b - a) * scale, 0.8):.1f}" height="{height}"/>'
            )
    return parts


def _disagreement(
    centre_s: Array, values: Array, hop_s: float, scale: float, y: float, height: float
) -> list[str]:
    top = max(0.1, float(np.max(values)))
    lines = [
        " ".join(
            f"{LEFT + t * scale:.1f},{y + height * (1 - v / top):.1f}"
            for t, v in zip(centre_s[rows], values[rows], strict=True)
        )
        for rows in _segments(centre_s, hop_s)
    ]
    return [
        f'<line class="grid" x1="{LEFT}" y1="{y + height:.1f}" x2="{WIDTH - RIGHT}"'
        f' y2="{y + height:.1f}"/>',
        *(f'<polyline class="disagreement" points="{points}"/>' for points in lines),
        f'<text class="tick" x="{LEFT - 6}" y="{y + 11:.1f}" text-anchor="end">members</text>',
        f'<text class="tick" x="{LEFT - 6}" y="{y + 22:.1f}" text-anchor="end">disagree</text>',
    ]


def _spectrogram(
    spectrogram: Array, times_s: Array | None, scale: float, end_s: float, y: float, height: float
) -> list[str]:
    n_rows = spectrogram.shape[2]
    if times_s is None or n_rows < 2:
        first, last = 0.0, end_s
    else:
        half = (times_s[-1] - times_s[0]) / (n_rows - 1) / 2
        first, last = times_s[0] - half, times_s[-1] + half
    low, high = decibel_range(spectrogram)
    parts = []
    for region, power in zip(REGIONS, spectrogram, strict=True):
        parts.append(
            f'<rect class="empty" x="{LEFT}" y="{y:.1f}" width="{WIDTH - LEFT - RIGHT}"'
            f' height="{height}"/>'
            f'<image href="{image_uri(spectrogram_png(power, low, high))}"'
            f' x="{LEFT + first * scale:.1f}" y="{y:.1f}" width="{(last - first) * scale:.1f}"'
            f' height="{height}" preserveAspectRatio="none"/>'
            f'<text class="name" x="{LEFT - 6}" y="{y + height / 2:.1f}" text-anchor="end">'
            f"{region}</text>"
            f'<text class="tick" x="{LEFT - 6}" y="{y + height / 2 + 12:.1f}" text-anchor="end">'
            f"0.6–20 Hz</text>"
        )
        y += height + 3
    return parts


def _marker(x: float, number: int) -> str:
    return (
        f'<a href="#window-{number}"><circle class="marker" cx="{x:.1f}" cy="11" r="8.5"/>'
        f'<text class="marker-text" x="{x:.1f}" y="14.5" text-anchor="middle">{number}</text></a>'
    )


def _time_axis(duration_s: float, scale: float, y: float) -> list[str]:
    step = next((t for t in TICKS_S if duration_s / t <= 12), TICKS_S[-1])
    parts = []
    for t in np.arange(0, duration_s + 1e-6, step):
        x = LEFT + t * scale
        anchor = "end" if x > WIDTH - 24 else "middle"
        parts.append(
            f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{y + 4:.1f}"/>'
            f'<text class="tick" x="{x:.1f}" y="{y + 15:.1f}" text-anchor="{anchor}">'
            f"{clock(t)}</text>"
        )
    return parts


def _svg(parts: Sequence[str], height: float, kind: str, label: str) -> Markup:
    body = "".join(parts)
    # numbers and the field's own words only: nothing from a user comes in here
    return Markup(  # noqa: S704 - whoever draws the body has escaped its texts
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
        f' aria-label="{label}">{body}</svg>'
    )
