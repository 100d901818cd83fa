"""The report of a retrain: verdict, results, evidence for the blend, plots, lineage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Params, Paths
from ..ensemble.blend import KINDS
from ..ensemble.stage import table_of_results
from ..registry.lineage import data_origin
from ..schema import ACNS_NAMES, CLASSES, DECIDING_SLICE, VOTE_SLICES
from ..student.stage import by_votes, read_summary
from ..system.files import hash_file, hash_json, read_sealed
from ..tracking.checkout import git_commit
from ..tracking.retrain import data_hash
from ..training.finished import MANIFEST, read_manifest
from .page import facts, image_uri, write_page
from .style import CLASS_COLOURS

PLOTS = ("kl_by_votes", "weights", "reliability", "confusion", "member_correlation")
DASH = "–"


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
    deciding = metrics["ensemble"].get(DECIDING_SLICE, {})
    stage_columns, stages = _stages(metrics, weights["members"])
    return write_page(
        paths.artifacts.absolute().parent / "reports" / "retrain.html",
        "retrain.html.j2",
        {
            "title": f"Retrain, recipe {params.recipe}",
            "identifier": "",
            "registrations": _registrations(paths),
            "confidence": metrics["confidence"],
            "slices": [
                {"label": _votes(name), **metrics["slices"][name]}
                for name in VOTE_SLICES
                if name in metrics["slices"]
            ],
            "results": _results(metrics, weights["members"]),
            "reason": metrics["reason"],
            "blends": [_blend_row(row) for row in weights["evidence"]],
            "stage_columns": stage_columns,
            "stages": stages,
            "by_class": _by_class(deciding),
            "agreement": deciding.get("agreement"),
            "deciding_label": _votes(DECIDING_SLICE),
            "student": _student(paths),
            "plots": _plots(paths),
            "lineage": facts(_lineage(paths, params)),
            "folds": _folds(paths, params),
        },
    )


def _votes(name: str) -> str:
    return "all windows" if name == "all" else f"{name.replace('>=', '≥ ').replace('-', '–')} votes"


def _number(value: float | None, digits: int = 4) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def _span(low: float, high: float, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{low:{sign}.4f} to {high:{sign}.4f}"


def _results(metrics: Mapping[str, Any], members: list[str]) -> list[dict[str, Any]]:
    slices = [name for name in VOTE_SLICES if name in metrics["slices"]]
    return [
        {
            "name": row["member"],
            "cells": [_number(row[name]) for name in slices],
            "interval": _span(*row["interval"]) if row["interval"] else DASH,
            "strong": row["member"].startswith("ensemble"),
        }
        for row in table_of_results(dict(metrics), members)
    ]


def _blend_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": KINDS[row["kind"]],
        "chosen": row["chosen"],
        "kl": _number(row["kl"]),
        "interval": _span(row["low"], row["high"]),
        "excess": f"{row['excess']:+.4f}",
        "excess_interval": _span(row["excess_low"], row["excess_high"], signed=True),
    }


def _stages(
    metrics: Mapping[str, Any], members: list[str]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """One column per slice and training stage; members in rows."""
    known = [member for member in members if member in metrics["stages"]]
    if not known:
        return [], []
    names = list(metrics["stages"][known[0]])
    slices = [s for s in ("all", DECIDING_SLICE) if s in metrics["slices"]]
    rows = [
        (m, [_number(metrics["stages"][m][n].get(s)) for s in slices for n in names]) for m in known
    ]
    return [f"{_votes(s)}, {n}" for s in slices for n in names], rows


def _by_class(deciding: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not deciding:
        return []
    return [
        {
            "label": label,
            "colour": CLASS_COLOURS[name],
            "auroc": _number(deciding["auroc"][name], 3),
            "auprc": _number(deciding["auprc"][name], 3),
            "calibration": _number(deciding["class_calibration_error"][name], 3),
        }
        for name, label in zip(CLASSES, ACNS_NAMES, strict=True)
    ]


def _student(paths: Paths) -> list[dict[str, str]]:
    """The student beside its teacher, by number of votes; empty where there is none."""
    if not (paths.student.ensemble / MANIFEST).exists():
        return []
    return [
        {
            "votes": _votes(row["votes"]),
            **{name: _number(row[name]) for name in ("student", "teacher")},
            "loss": f"{row['loss']:+.4f}",
            "interval": _span(row["low"], row["high"], signed=True),
        }
        for row in by_votes(read_summary(paths))
    ]


def _registrations(paths: Paths) -> list[dict[str, Any]]:
    """Verdicts of the ensemble and, where there is one, of the student."""
    if not paths.registration.exists():
        return []
    result = read_sealed(paths.registration, "hms register")
    return [_registration(part) for part in (result, result.get("student")) if part]


def _registration(result: Mapping[str, Any]) -> dict[str, Any]:
    aliases = ", ".join(result.get("aliases") or ())
    name = f"{result.get('model', 'model')} version {result.get('version', DASH)}"
    return {
        "verdict": result.get("verdict", "no verdict"),
        "reasons": result.get("reasons", []),
        "name": f"{name} ({aliases})" if aliases else name,
    }


def _plots(paths: Paths) -> list[dict[str, Any]]:
    files = [paths.ensemble / "plots" / f"{name}.png" for name in PLOTS]
    return [
        {"name": path.stem.replace("_", " "), "uri": image_uri(path.read_bytes())}
        for path in files
        if path.exists()
    ]


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


def _folds(paths: Paths, params: Params) -> list[dict[str, Any]]:
    rows = []
    for member, fold in params.trainings:
        manifest = read_manifest(paths.fold(member, fold))
        rows.append(
            {
                "member": member,
                "fold": fold,
                "n_oof": manifest.get("n_oof", DASH),
                "kl": _number(manifest.get("metrics", {}).get(DECIDING_SLICE)),
                "content_hash": manifest.get("content_hash", DASH)[:16],
            }
        )
    return rows
