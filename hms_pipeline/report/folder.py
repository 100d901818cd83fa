"""The report of a scored folder: every window at a glance, the notable ones in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..schema import CLASS_LABELS, CLASSES, VOTE_COLUMNS
from .page import facts, write_page
from .recording import NotableWindow, window_context
from .style import CLASS_COLOURS

MAX_ROWS = 500


def write_folder_report(
    out: Path,
    *,
    scores: pd.DataFrame,
    model: Mapping[str, Any],
    members: Sequence[str] = (),
    notable: Mapping[str, NotableWindow] | None = None,
    failed: Sequence[tuple[str, str]] = (),
    identifier: str = "",
    title: str = "Scored folder",
) -> Path:
    """Write one self-contained HTML file.

    Parameters
    ----------
    out : Path
        The file.
    scores : DataFrame
        One row per window: six vote columns, a name in ``id`` or ``eeg_id``, and where there
        are any ``start_s`` and ``warnings``. Rows without probabilities are left out.
    model : mapping
        Name, version, hashes: shown as they are.
    members : sequence of str
        Names of the rows of the notable windows' ``member_probs``.
    notable : mapping of str to NotableWindow, optional
        Windows to draw, by name.
    failed : sequence of (str, str)
        Inputs set aside and why.
    identifier, title : str

    Returns
    -------
    Path
        ``out``.
    """
    scores = scores.dropna(subset=list(VOTE_COLUMNS)).reset_index(drop=True)
    probs = scores[list(VOTE_COLUMNS)].to_numpy(dtype=float)
    shown = np.argsort(probs[:, -1], kind="stable")[:MAX_ROWS]
    return write_page(
        out,
        "folder.html.j2",
        {
            "title": title,
            "identifier": identifier,
            "n_scored": len(scores),
            "cards": _cards(probs),
            "windows": [
                {**window_context(window, members), "name": name}
                for name, window in (notable or {}).items()
            ],
            "rows": [_row(scores.iloc[i], probs[i]) for i in shown],
            "failed": list(failed),
            "model": facts(model),
        },
    )


def _cards(probs: np.ndarray) -> list[dict[str, Any]]:
    leading = np.bincount(probs.argmax(axis=1), minlength=len(CLASSES)) if len(probs) else None
    return [
        {
            "label": label,
            "colour": CLASS_COLOURS[name],
            "mean": float(probs[:, k].mean()) if len(probs) else 0.0,
            "leads": int(leading[k]) if leading is not None else 0,
        }
        for k, (name, label) in enumerate(zip(CLASSES, CLASS_LABELS, strict=True))
    ]


def _row(row: pd.Series, probs: np.ndarray) -> dict[str, Any]:
    name = str(row["id"] if "id" in row.index else row["eeg_id"])
    if "start_s" in row.index and pd.notna(row["start_s"]) and row["start_s"] > 0:
        name += f" @ {row['start_s']:g} s"
    positive = probs[probs > 0]
    warnings = row.get("warnings", "")
    return {
        "name": name,
        "probs": probs.tolist(),
        "label": CLASS_LABELS[int(probs.argmax())],
        "top": float(probs.max()),
        "entropy": float(-(positive * np.log(positive)).sum()),
        "warnings": warnings if isinstance(warnings, str) else "",
    }
