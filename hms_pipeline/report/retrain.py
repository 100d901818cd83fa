"""The report of a retrain: verdict, results, evidence for the blend, plots, lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config import Params, Paths
from ..ensemble.blend import KINDS
from ..ensemble.stage import table_of_results
from ..registry.lineage import data_origin
from ..schema import DECIDING_SLICE, VOTE_SLICES
from ..student.stage import by_votes, read_summary
from ..system.files import hash_file, hash_json, read_sealed
from ..tracking.checkout import git_commit
from ..tracking.retrain import data_hash
from ..training.finished import MANIFEST, read_manifest
from .page import facts, image_uri, write_page

PLOTS = ("kl_by_votes", "weights", "reliability", "confusion", "member_correlation")


def write_retrain_report(paths: Paths, params: Params) -> Path:
    """Write one self-contained HTML file about the present artifacts.

    Parameters
    ----------
    paths, params
        Stage `ensemble` has run; `register` too, if the verdict is to be shown.

    Returns
    -------
    Path
        ``reports/retrain.html`` beside the artifacts.

    Raises
    ------
    InputError
        There is no ensemble yet.
    """
    metrics = read_sealed(paths.ensemble / "metrics.json", "hms ensemble")
    weights = read_sealed(paths.ensemble / "weights.json", "hms ensemble")
    taught = (paths.student.ensemble / MANIFEST).exists()
    return write_page(
        paths.artifacts.absolute().parent / "reports" / "retrain.html",
        "retrain.html.j2",
        {
            "title": f"Retrain, recipe {params.recipe}",
            "registrations": _registrations(paths),
            "metrics": metrics,
            "slices": [name for name in VOTE_SLICES if name in metrics["slices"]],
            "deciding": DECIDING_SLICE,
            "results": table_of_results(metrics, weights["members"]),
            "members": weights["members"],
            "blends": weights["evidence"],
            "blend_names": KINDS,
            "student": by_votes(read_summary(paths)) if taught else (),
            "plots": _plots(paths),
            "lineage": facts(_lineage(paths, params)),
            "folds": [(m, k, read_manifest(paths.fold(m, k))) for m, k in params.trainings],
        },
    )


def _registrations(paths: Paths) -> list[dict[str, Any]]:
    """Verdicts of the ensemble and, where there is one, of the student."""
    if not paths.registration.exists():
        return []
    result = read_sealed(paths.registration, "hms register")
    return [part for part in (result, result.get("student")) if part]


def _plots(paths: Paths) -> list[tuple[str, str]]:
    """Names and addresses of the plots that are there."""
    files = [paths.ensemble / "plots" / f"{name}.png" for name in PLOTS]
    return [(path.stem, image_uri(path.read_bytes())) for path in files if path.exists()]


def _lineage(paths: Paths, params: Params) -> dict[str, Any]:
    views = {
        name: hash_file(paths.view(name) / "manifest.json")
        for name in sorted(params.views)
        if (paths.view(name) / "manifest.json").exists()
    }
    return {
        "recipe": params.recipe,
        "code": git_commit(paths),
        "data": f"{data_origin(paths)}, digest {data_hash(paths)}",
        "parameters": hash_json(params.model_dump(mode="json")),
        "windows": hash_file(paths.windows) if paths.windows.exists() else None,
        "folds": hash_file(paths.folds) if paths.folds.exists() else None,
        "view": views,
        "ensemble": hash_file(paths.ensemble / "weights.json"),
    }
