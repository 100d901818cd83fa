"""The report of one recording: what the ensemble saw, when, and how sure its members were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..schema import CLASSES, SFREQ, VOTE_COLUMNS, WINDOW_S
from ..scoring.explain import Explanation
from ..scoring.recording import RecordingScores
from ..scoring.sources import window_starts
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
    scores: RecordingScores,
    model: Mapping[str, Any],
    *,
    explained: Sequence[Explanation | None] = (),
    title: str = "EEG recording",
    index: str = "",
) -> Path:
    """Write one self-contained HTML file.

    Parameters
    ----------
    out : Path
        The file.
    scores : RecordingScores
        What ``score_recording`` gave.
    model : mapping
        Name, version, hashes, members: shown as they are.
    explained : sequence of Explanation or None
        Why, for each of the notable windows; none where empty.
    title : str
    index : str
        Address of the page over all recordings, where there is one.

    Returns
    -------
    Path
        ``out``.
    """
    timeline = scores.timeline.sort_values("start_s", ignore_index=True)
    probs = timeline[list(VOTE_COLUMNS)].to_numpy(dtype=float)
    centre_s = timeline["start_s"].to_numpy(dtype=float) + WINDOW_S / 2
    spread = timeline["disagreement"].to_numpy(dtype=float)
    every = window_starts(round(scores.duration_s * SFREQ), int(scores.hop_s))
    drawn = _thin(centre_s, probs, spread, scores.hop_s)
    told = dict(scores.source)
    start_of_day_s = told.pop("start_of_day_s", None)
    when = partial(clock, start_of_day_s=start_of_day_s)
    windows = [
        window_context(window, scores.members, why)
        | {
            "name": f"{when(window.start_s)} – {when(window.start_s + WINDOW_S)}",
            "warnings": scores.timeline["warnings"].iloc[window.row],
        }
        for window, why in zip(
            scores.notable, explained or [None] * len(scores.notable), strict=True
        )
    ]
    whole = spectrogram_images(scores.spectrogram)
    return write_page(
        out,
        "recording.html.j2",
        {
            "title": title,
            "identifier": scores.id,
            "index": index,
            "duration_s": scores.duration_s,
            "hop_s": scores.hop_s,
            "n_windows": len(timeline),
            "cards": _cards(centre_s, probs, when),
            "began": None if start_of_day_s is None else when(0),
            "n_pauses": len(scores.pauses_s),
            "has_gaps": len(timeline) < len(every),
            "paused_s": sum(b - a for a, b in scores.pauses_s),
            "windows": windows,
            "whole": whole,
            "interpolated": told.get("interpolated", ()),
            "warnings": [
                *({"text": text, "where": ""} for text in scores.warnings),
                *_window_warnings(timeline, when),
            ],
            "source": facts({SOURCE.get(name, name): fact for name, fact in told.items()}),
            "model": facts(model),
            "values": {
                "montage": layout(told.get("interpolated", ())),
                "start_of_day_s": start_of_day_s,
                "windows": [window.pop("drawing") for window in windows],
                "timeline": {
                    "time": drawn["time"].round(1).tolist(),
                    "probs": drawn["probs"].round(3).tolist(),
                    # a single member cannot disagree
                    "disagreement": drawn["spread"].round(4).tolist() if spread.any() else None,
                    "hop_s": drawn["hop_s"],
                    "duration_s": scores.duration_s,
                    "pauses_s": [list(pause) for pause in scores.pauses_s],
                    "notable_s": [window.start_s + WINDOW_S / 2 for window in scores.notable],
                    "images": [image["uri"] for image in whole["images"]] if whole else [],
                    "span_s": _span(scores.spectrogram_times_s, scores.duration_s),
                },
            },
        },
    )


def _span(times_s: Array, duration_s: float) -> tuple[float, float]:
    """When the spectrogram's first column begins and its last one ends."""
    if len(times_s) < 2:
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


def _thin(centre_s: Array, probs: Array, spread: Array, hop_s: float) -> dict[str, Any]:
    """Average the windows of equal stretches of time until they fit the drawing."""
    factor = -(-len(centre_s) // MAX_POINTS)
    stretch = np.floor((centre_s - centre_s[0]) / (hop_s * factor) + 1e-6)
    edges = np.r_[0, np.flatnonzero(np.diff(stretch)) + 1]
    counts = np.diff(np.append(edges, len(centre_s)))
    return {
        "time": np.add.reduceat(centre_s, edges) / counts,
        "probs": np.add.reduceat(probs, edges, axis=0) / counts[:, None],
        "spread": np.add.reduceat(spread, edges) / counts,
        "hop_s": hop_s * factor,
    }


def _window_warnings(
    timeline: pd.DataFrame, when: Callable[[float], str]
) -> Iterable[dict[str, str]]:
    """Warnings of single windows, equal ones joined, with where they hold."""
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
