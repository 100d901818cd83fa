"""The model card: what it is, on what data, how good with which intervals, and for what not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Params, Paths
from ..ensemble.blend import KINDS
from ..schema import ACNS_NAMES, DECIDING_SLICE
from ..system.files import read_sealed, read_table

# MLflow's page breaks a line wherever the text does: a paragraph is one line.
CARD = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
ENSEMBLE = """\
An ensemble of {n_networks} networks ({members}) that reads 50 s of scalp EEG and the 10 min of \
spectrogram around it. Without the spectrogram the members that need it are left out. The answers \
are blended by: {kind}.\
"""
STUDENT = """\
One network that reads 50 s of scalp EEG. It learned to answer as the ensemble does, whose results \
stand beside its own. Both are of networks that never saw the patient, not of the one that \
answers, which saw all.\
"""

ORIGIN = {
    "simulated": "Simulated by `hms sample`, no patient among it (digest `{}`): its numbers say"
    " nothing of real EEG.",
    "partly simulated": "Partly simulated by `hms sample`, partly given by the user (digest `{}`).",
    "given": "Given by the user, not simulated by `hms sample` (digest `{}`).",
    "unknown": "Of unknown origin (digest `{}`).",
}


def model_card(
    paths: Paths, params: Params, content: Mapping[str, Any], origin: Mapping[str, Any]
) -> str:
    """Write the card from the ensemble's metrics.

    Parameters
    ----------
    paths : Paths
    params : Params
    content : mapping
        From ``inference.bundle.describe_content``.
    origin : mapping
        From ``lineage.lineage``: data and code.

    Returns
    -------
    str
        Markdown; the same bytes for the same artifacts and code.
    """
    metrics = read_sealed(paths.ensemble / "metrics.json", "hms ensemble")
    folds = read_table(paths.folds)
    deciding = metrics.get("slices", {}).get(DECIDING_SLICE, {})
    what = (ENSEMBLE if "teacher" not in metrics["baselines"] else STUDENT).format(
        n_networks=sum(len(member["folds"]) for member in content["members"].values()),
        members=", ".join(content["members"]),
        kind=KINDS[content["blend"]["kind"]],
    )
    rows = [
        f"| {name} | {votes} | {found['kl']:.3f} | {found['low']:.3f}–{found['high']:.3f} |"
        for name, slices in (
            (paths.model, metrics["ensemble"]),
            *(
                (name, metrics["baselines"][name])
                for name in ("teacher", "prior")
                if name in metrics["baselines"]
            ),
        )
        for votes, found in slices.items()
    ]
    return CARD.format(
        model=paths.model,
        what=what,
        origin=ORIGIN.get(origin["data_origin"], ORIGIN["unknown"]).format(origin["data"]),
        commit=origin["git_commit"],
        classes=", ".join(ACNS_NAMES),
        n_windows=len(folds),
        n_patients=folds["patient_id"].nunique(),
        n_deciding=deciding.get("n_windows", 0),
        min_votes=params.gate.min_votes,
        confidence=metrics["confidence"],
        rows="\n".join(rows),
        recipe=params.recipe,
        content_hash=content["content_hash"][:12],
    )
