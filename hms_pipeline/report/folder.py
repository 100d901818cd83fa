"""The first page of a report: every recording and window at a glance, the notable ones drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..schema import ACNS_NAMES, CLASSES, VOTE_COLUMNS, WINDOW_S
from ..scoring.explain import Explanation
from ..scoring.notable import NotableWindow
from .montage import layout
from .page import facts, write_page
from .window import window_context

MAX_ROWS = 500


def write_folder_report(
    out: Path,
    *,
    scores: pd.DataFrame,
    model: Mapping[str, Any],
    members: Sequence[str] = (),
    notable: Mapping[str, NotableWindow] | None = None,
    explained: Mapping[str, Explanation] | None = None,
    failed: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write one self-contained HTML file; it links to the pages of recordings beside it.

    Parameters
    ----------
    out : Path
        The file.
    scores : DataFrame
        One row per window: six vote columns, a name in ``id`` or ``eeg_id``, and where there
        are any ``start_s`` and ``warnings``. Rows without probabilities are left out. Rows whose
        name has a page beside ``out`` are joined to one recording.
    model : mapping
        Name, version, hashes: shown as they are.
    members : sequence of str
        Names of the rows of the notable windows' ``member_probs``.
    notable : mapping of str to NotableWindow, optional
        Windows to draw, by name.
    explained : mapping of str to Explanation, optional
        Why, by the same names.
    failed : sequence of (str, str)
        Inputs set aside and why.

    Returns
    -------
    Path
        ``out``.
    """
    out = Path(out)
    scores = scores.dropna(subset=list(VOTE_COLUMNS)).reset_index(drop=True)
    scores["warnings"] = (
        scores["warnings"].astype(object).fillna("") if "warnings" in scores else ""
    )
    names = scores["id" if "id" in scores else "eeg_id"].astype(str)
    paged = names.map({n: (out.parent / f"{n}.html").is_file() for n in names.unique()}).astype(
        bool
    )
    probs = scores[list(VOTE_COLUMNS)].to_numpy(dtype=float)
    single = np.flatnonzero(~paged)
    shown = single[np.argsort(probs[single, -1], kind="stable")[:MAX_ROWS]]
    said = dict(zip(names, scores["warnings"], strict=True))
    windows = {
        name: window_context(window, members, (explained or {}).get(name))
        for name, window in (notable or {}).items()
    }
    anchors = {name: f"#window-{k}" for k, name in enumerate(windows, 1)}
    return write_page(
        out,
        "folder.html.j2",
        {
            "title": "Scored folder",
            "n_scored": len(scores),
            "cards": _cards(probs),
            "windows": [
                {**window, "name": name, "warnings": said[name]} for name, window in windows.items()
            ],
            "recordings": _recordings(scores[paged], names[paged]),
            "n_windows": len(single),
            "rows": [
                {**_row(scores.iloc[i], probs[i], names[i]), "link": anchors.get(names[i], "")}
                for i in shown
            ],
            "failed": list(failed),
            "model": facts(model),
            "values": {
                "montage": layout(),
                "windows": [window["drawing"] for window in windows.values()],
                "timeline": None,
            },
        },
    )


def _cards(probs: np.ndarray) -> list[dict[str, Any]]:
    means = probs.sum(axis=0) / max(1, len(probs))
    leading = np.bincount(probs.argmax(axis=1), minlength=len(CLASSES))
    return [{"mean": m, "leads": n} for m, n in zip(means.tolist(), leading.tolist(), strict=True)]


def _recordings(scores: pd.DataFrame, names: pd.Series) -> list[dict[str, Any]]:
    """One row per recording that has a page, the least ordinary first."""
    rows = []
    for name, table in scores.groupby(names, sort=False):
        probs = table[list(VOTE_COLUMNS)].to_numpy(dtype=float)
        leading = np.bincount(probs.argmax(axis=1), minlength=len(CLASSES)) / len(probs)
        peak = int(probs[:, 0].argmax())
        rows.append(
            {
                "name": name,
                "link": f"{name}.html",
                "n_windows": len(table),
                "probs": leading.tolist(),
                "other": float(leading[-1]),
                "peak": float(probs[peak, 0]),
                "peak_s": float(table["start_s"].iloc[peak]) + WINDOW_S / 2,
            }
        )
    return sorted(rows, key=lambda row: row["other"])


def _row(row: pd.Series, probs: np.ndarray, name: str) -> dict[str, Any]:
    if "start_s" in row.index and pd.notna(row["start_s"]) and row["start_s"] > 0:
        name += f" @ {row['start_s']:g} s"
    positive = probs[probs > 0]
    return {
        "name": name,
        "probs": probs.tolist(),
        "label": ACNS_NAMES[int(probs.argmax())],
        "top": float(probs.max()),
        "entropy": float(-(positive * np.log(positive)).sum()),
        "warnings": row["warnings"],
    }
