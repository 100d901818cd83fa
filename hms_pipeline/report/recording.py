"""The report of one recording: what the ensemble saw, when, and how sure its members were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..schema import CLASSES, VOTE_COLUMNS, WINDOW_S
from ..scoring.explain import Explanation
from ..scoring.notable import NotableWindow
from .montage import layout
from .page import clock, facts, write_page
from .spectrogram import spectrogram_images
from .window import window_context

Array = NDArray[np.floating]
SOURCE = {
    "sfreq": "sampling rate, Hz",
    "available": "electrodes recorded",
    "interpolated": "electrodes taken from their neighbours",
    "derivations": "derivations recorded",
    "bipolar_only": "derivations alone",
}
MAX_POINTS = 900  # most points of the drawn timeline; longer ones are averaged


def write_recording_report(
    out: Path,
    *,
    timeline: pd.DataFrame,
    model: Mapping[str, Any],
    members: Sequence[str] = (),
    notable: Sequence[NotableWindow] = (),
    explained: Sequence[Explanation | None] = (),
    spectrogram: Array | None = None,
    spectrogram_times_s: Array | None = None,
    duration_s: float | None = None,
    hop_s: float | None = None,
    pauses_s: Sequence[tuple[float, float]] = (),
    warnings: Sequence[str] = (),
    source: Mapping[str, Any] | None = None,
    identifier: str = "",
    title: str = "EEG recording",
    index: str = "",
) -> Path:
    """Write one self-contained HTML file.

    Parameters
    ----------
    out : Path
        The file.
    timeline : DataFrame
        One row per window: ``start_s``, six vote columns, and where there are any
        ``disagreement`` (nats) and ``warnings`` (text).
    model : mapping
        Name, version, hashes, members: shown as they are.
    members : sequence of str
        Names of the rows of ``member_probs``.
    notable : sequence of NotableWindow
        Shown in this order.
    explained : sequence of Explanation or None
        Why, for each of them; none where empty.
    spectrogram : array, shape (4, 100, n), optional
        µV²/Hz.
    spectrogram_times_s : array, shape (n,), optional
        Centres of its columns.
    duration_s, hop_s : float, optional
        Taken from the timeline where None.
    pauses_s : sequence of (float, float)
        When nothing was recorded; the time axis goes on through them.
    warnings : sequence of str
        Of the whole recording.
    source : mapping, optional
        Facts of the recording (sampling rate, electrodes); never of the patient. Where
        ``start_of_day_s`` is among them (seconds after midnight), the page shows the time of day.
    identifier : str
        Anonymous name of the recording.
    title : str
    index : str
        Address of the page over all recordings, where there is one.

    Returns
    -------
    Path
        ``out``.
    """
    timeline = timeline.sort_values("start_s", ignore_index=True)
    starts = timeline["start_s"].to_numpy(dtype=float)
    if hop_s is None:
        hop_s = float(np.median(np.diff(starts))) if len(starts) > 1 else 10.0
    if duration_s is None:
        duration_s = float(starts[-1] + WINDOW_S)
    probs = timeline[list(VOTE_COLUMNS)].to_numpy(dtype=float)
    centre_s = starts + WINDOW_S / 2
    spread = timeline["disagreement"].to_numpy(dtype=float) if "disagreement" in timeline else None
    if spread is not None and not spread.any():
        spread = None  # a single member cannot disagree
    drawn = _thin(centre_s, probs, spread, hop_s)
    told = dict(source or {})
    start_of_day_s = told.pop("start_of_day_s", None)
    when = partial(clock, start_of_day_s=start_of_day_s)
    windows = [
        window_context(window, members, why)
        | {"name": f"{when(window.start_s)} – {when(window.start_s + WINDOW_S)}"}
        for window, why in zip(notable, explained or [None] * len(notable), strict=True)
    ]
    whole = spectrogram_images(spectrogram)
    return write_page(
        out,
        "recording.html.j2",
        {
            "title": title,
            "identifier": identifier,
            "index": index,
            "duration_s": duration_s,
            "hop_s": hop_s,
            "n_windows": len(timeline),
            "cards": _cards(centre_s, probs, when),
            "began": None if start_of_day_s is None else when(0),
            "n_pauses": len(pauses_s),
            "paused_s": sum(b - a for a, b in pauses_s),
            "windows": windows,
            "whole": whole,
            "warnings": [
                *({"text": text, "where": ""} for text in warnings),
                *_window_warnings(timeline, when),
            ],
            "source": facts({SOURCE.get(name, name): fact for name, fact in told.items()}),
            "model": facts(model),
            "values": {
                "montage": layout(),
                "start_of_day_s": start_of_day_s,
                "windows": [window.pop("drawing") for window in windows],
                "timeline": {
                    "time": drawn["time"].round(1).tolist(),
                    "probs": drawn["probs"].round(3).tolist(),
                    "disagreement": None
                    if spread is None
                    else drawn["disagreement"].round(4).tolist(),
                    "hop_s": drawn["hop_s"],
                    "duration_s": duration_s,
                    "pauses_s": [list(pause) for pause in pauses_s],
                    "notable_s": [window.start_s + WINDOW_S / 2 for window in notable],
                    "images": [image["uri"] for image in whole["images"]] if whole else [],
                    "span_s": _span(spectrogram, spectrogram_times_s, duration_s),
                },
            },
        },
    )


def _span(
    spectrogram: Array | None, times_s: Array | None, duration_s: float
) -> tuple[float, float]:
    """When the spectrogram's first column begins and its last one ends."""
    if spectrogram is None or times_s is None or len(times_s) < 2:
        return 0.0, duration_s
    half = (times_s[-1] - times_s[0]) / (len(times_s) - 1) / 2
    return float(times_s[0] - half), float(times_s[-1] + half)


def _cards(centre_s: Array, probs: Array, when: Callable[[float], str]) -> list[dict[str, Any]]:
    leading = probs.argmax(axis=1)
    return [
        {
            "leads": float((leading == k).mean()),
            "peak": float(probs[:, k].max()),
            "peak_at": when(float(centre_s[probs[:, k].argmax()])),
        }
        for k in range(len(CLASSES))
    ]


def _thin(centre_s: Array, probs: Array, spread: Array | None, hop_s: float) -> dict[str, Any]:
    """Average the windows of equal stretches of time until they fit the drawing."""
    factor = -(-len(centre_s) // MAX_POINTS)
    stretch = np.floor((centre_s - centre_s[0]) / (hop_s * factor) + 1e-6)
    edges = np.r_[0, np.flatnonzero(np.diff(stretch)) + 1]
    counts = np.diff(np.append(edges, len(centre_s)))
    return {
        "time": np.add.reduceat(centre_s, edges) / counts,
        "probs": np.add.reduceat(probs, edges, axis=0) / counts[:, None],
        "disagreement": None if spread is None else np.add.reduceat(spread, edges) / counts,
        "hop_s": hop_s * factor,
    }


def _window_warnings(
    timeline: pd.DataFrame, when: Callable[[float], str]
) -> Iterable[dict[str, str]]:
    """Warnings of single windows, equal ones joined, with where they hold."""
    if "warnings" not in timeline:
        return
    found: dict[str, list[float]] = {}
    for start, text in zip(timeline["start_s"], timeline["warnings"], strict=True):
        if isinstance(text, str) and text.strip():
            found.setdefault(text.strip(), []).append(float(start))
    for text, starts in found.items():
        if len(starts) == len(timeline):
            where = "in every window"
        else:
            span = f"{when(starts[0])} to {when(starts[-1] + WINDOW_S)}"
            where = f"in {len(starts)} of {len(timeline)} windows, {span}"
        yield {"text": text, "where": where}
