"""Stage `ensemble`: out-of-fold predictions → the blend, its evidence and its metrics."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..config import Params, Paths
from ..config.ensemble import EnsembleParams
from ..schema import CLASSES, DECIDING_SLICE, VOTE_SLICES
from ..system.files import read_sealed, write_json, write_sealed, write_table
from ..system.progress import Progress, silent
from ..training.finished import read_manifest
from ..training.metrics import kl_per_window, metric_name
from .blend import KINDS, Blend, FittedBlend, fit_blend
from .bootstrap import interval, patient_bootstrap
from .metrics import evaluate, slice_masks
from .oof import OutOfFold, read_oof

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
WEIGHTS, METRICS, TABLE = "weights.json", "metrics.json", "oof.parquet"
DIGITS = 9  # of numbers in JSON; keeps the last bits of sums out of hashed files


@dataclass(frozen=True)
class Made:
    """What the stage makes.

    Parameters
    ----------
    weights, metrics : dict
        The content of the files.
    table : DataFrame
        ``label_id, patient_id, fold, n_votes`` and the six nested probabilities; ascending.
    oof : OutOfFold
        The members' predictions that it was made of.
    """

    weights: dict[str, Any]
    metrics: dict[str, Any]
    table: pd.DataFrame
    oof: OutOfFold


def run(paths: Paths, params: Params, progress: Progress = silent) -> dict[str, Any]:
    """Fit, judge and choose the blend, and write the folder ``ensemble``.

    That is ``weights.json``, ``oof.parquet``, ``metrics.json`` and ``summary.json``.

    The fit uses the windows of the deciding slice only; every window gets the prediction of the
    blend that was fitted without its fold.

    Returns
    -------
    dict
        The content of ``metrics.json``.
    """
    made = compute(paths, params, progress)
    write_sealed(paths.ensemble / WEIGHTS, made.weights)
    write_sealed(paths.ensemble / METRICS, made.metrics)
    write_json(paths.ensemble / "summary.json", plain(_flat(made.metrics)))
    write_table(paths.ensemble / TABLE, made.table)
    progress(4, 4)
    return made.metrics


def compute(paths: Paths, params: Params, tell: Progress = silent) -> Made:
    """Compute the ensemble from the members' predictions, each checked by its fold's manifest."""
    oof = read_oof(paths, params)
    tell(1, 4)
    fitted = fit(oof, params.ensemble)
    tell(2, 4)
    predictions = _predictions(oof, fitted)
    metrics = {
        **summarise(oof, predictions, params.ensemble),
        "chosen": fitted.kind,
        "reason": fitted.reason,
        "stages": _stage_metrics(paths, params, oof),
    }
    tell(3, 4)
    table = table_of(oof, predictions["ensemble"])
    return Made(plain(_weights(fitted)), plain(metrics), table, oof)


def results_table(paths: Paths) -> list[dict[str, Any]]:
    """KL divergence of members, blends and baselines on every slice, for people to read.

    Returns
    -------
    list of dict
        ``member``, one key per vote slice (None where it has no windows), and ``interval`` of
        the deciding slice: two numbers, or None.
    """
    metrics = read_sealed(paths.ensemble / METRICS, "hms ensemble")
    members = read_sealed(paths.ensemble / WEIGHTS, "hms ensemble")["members"]
    return table_of_results(metrics, members)


def table_of_results(metrics: dict[str, Any], members: list[str]) -> list[dict[str, Any]]:
    """The rows of ``results_table``, of ``metrics.json`` and the members in their order."""
    named = [
        *((name, metrics["members"][name]) for name in members),
        ("equal mean", metrics["blends"]["equal"]),
        (f"ensemble ({KINDS[metrics['chosen']]})", metrics["ensemble"]),
        *((f"({name})", slices) for name, slices in metrics["baselines"].items()),
    ]
    return [_table_row(name, slices) for name, slices in named]


def _table_row(name: str, slices: dict[str, Any]) -> dict[str, Any]:
    deciding = slices.get(DECIDING_SLICE)
    return {
        "member": name,
        **{s: slices[s]["kl"] if s in slices else None for s in VOTE_SLICES},
        "interval": (deciding["low"], deciding["high"]) if deciding else None,
    }


def fit(oof: OutOfFold, params: EnsembleParams) -> FittedBlend:
    """Fit the blend on the deciding windows; the equal mean where these are in one fold."""
    rows = oof.deciding
    n_folds = len(np.unique(oof.folds[rows]))
    if n_folds < 2:
        reason = (
            f"nesting needs two folds with windows of {VOTE_SLICES[DECIDING_SLICE][0]} votes or"
            f" more, and there {'is one' if n_folds else 'is none'}, so the equal mean is used"
        )
        log.warning("Ensemble: %s.", reason)
        equal = Blend.equal(oof.members)
        return FittedBlend(
            **vars(equal), candidates={"equal": equal}, nested={"equal": {}}, reason=reason
        )
    return fit_blend(
        oof.probs[:, rows],
        oof.target[rows],
        oof.folds[rows],
        patients=oof.patients[rows],
        members=oof.members,
        shrinkage=params.shrinkage,
        ridge=params.ridge,
        n_bootstrap=params.bootstrap,
        confidence=params.confidence,
        seed=params.seed,
    )


def _predictions(oof: OutOfFold, fitted: FittedBlend) -> dict[str, Any]:
    """Everything that is judged: each predicts a window without having seen its fold."""
    blends = {kind: fitted.nested_predict(oof.probs, oof.folds, kind) for kind in fitted.candidates}
    usual = prior(oof.target, oof.folds, oof.deciding)
    return {
        "members": dict(zip(oof.members, oof.probs, strict=True)),
        "blends": blends,
        "ensemble": blends[fitted.kind],
        "baselines": {"prior": usual, "uniform": np.full(oof.votes.shape, 1 / len(CLASSES))},
    }


def prior(target: Array, folds: NDArray[np.int64], deciding: NDArray[np.bool_]) -> Array:
    """Mean target of the deciding windows of the other folds (of all windows, without any)."""
    probs = np.empty(target.shape)
    for fold in np.unique(folds):
        other = folds != fold
        rows = other & deciding if (other & deciding).any() else other
        probs[folds == fold] = target[rows if rows.any() else ~other].mean(axis=0)
    # a class no other fold has still needs a finite logarithm
    probs = np.maximum(probs, 1e-3)
    return probs / probs.sum(axis=1, keepdims=True)


def summarise(
    oof: OutOfFold, predictions: dict[str, Any], params: EnsembleParams
) -> dict[str, Any]:
    """KL with intervals of everything, all metrics of the ensemble, on every slice."""
    masks = slice_masks(oof.n_votes)
    judged = {
        **{("members", name): probs for name, probs in predictions["members"].items()},
        **{("blends", kind): probs for kind, probs in predictions["blends"].items()},
        **{("baselines", name): probs for name, probs in predictions["baselines"].items()},
        ("", "ensemble"): predictions["ensemble"],
    }
    losses = np.stack([kl_per_window(oof.target, probs) for probs in judged.values()], axis=1)
    estimates: dict[tuple[str, str], dict[str, Any]] = {key: {} for key in judged}
    for slice_name, rows in masks.items():
        samples = patient_bootstrap(losses[rows], oof.patients[rows], params.bootstrap, params.seed)
        for i, key in enumerate(judged):
            low, high = interval(samples[:, i], params.confidence)
            kl = float(losses[rows, i].mean())
            estimates[key][slice_name] = {"kl": kl, "low": low, "high": high}
    ensemble = estimates["", "ensemble"]
    for slice_name, rows in masks.items():
        probs = predictions["ensemble"][rows]
        ensemble[slice_name] |= evaluate(oof.votes[rows], probs, params.bins)
    return {
        **{
            group: {name: value for (g, name), value in estimates.items() if g == group}
            for group in ("members", "blends", "baselines")
        },
        "ensemble": ensemble,
        "confidence": params.confidence,
        "slices": {
            name: {"n_windows": int(rows.sum()), "n_patients": len(np.unique(oof.patients[rows]))}
            for name, rows in masks.items()
        },
    }


def _flat(metrics: dict[str, Any]) -> dict[str, float | str]:
    """What ``dvc metrics`` and ``dvc exp show`` print; what has no windows is left out.

    ``kl, kl_low, kl_high``, the baselines and members on the deciding slice, then the ensemble on
    the other slices.
    """
    others = {
        metric_name(name): found["kl"]
        for name, found in metrics["ensemble"].items()
        if name != DECIDING_SLICE
    }
    if DECIDING_SLICE not in metrics["slices"]:
        return others
    members = {name: found[DECIDING_SLICE]["kl"] for name, found in metrics["members"].items()}
    best = min(members, key=lambda name: members[name])
    deciding = metrics["ensemble"][DECIDING_SLICE]
    return {
        "kl": deciding["kl"],
        "kl_low": deciding["low"],
        "kl_high": deciding["high"],
        "best_member": best,
        "kl_best_member": members[best],
        "kl_equal_mean": metrics["blends"]["equal"][DECIDING_SLICE]["kl"],
        "kl_prior": metrics["baselines"]["prior"][DECIDING_SLICE]["kl"],
        **{f"kl_member_{name}": kl for name, kl in members.items()},
        **others,
    }


def _stage_metrics(
    paths: Paths, params: Params, oof: OutOfFold
) -> dict[str, dict[str, dict[str, float]]]:
    """Member → training stage → slice → KL, over all folds; folds count by their windows."""
    masks = slice_masks(oof.n_votes)
    weights = {
        name: np.bincount(oof.folds[rows], minlength=params.split.n_folds)
        for name, rows in masks.items()
    }
    result = {}
    for member in oof.members:
        folds = [
            read_manifest(paths.fold(member, fold)).get("stages", [])
            for fold in range(params.split.n_folds)
        ]
        by_stage: dict[str, dict[str, float]] = {}
        for stages in zip(*folds, strict=False):
            by_stage[stages[0]["name"]] = {
                name: sum(
                    n * stage["metrics"][name] for n, stage in zip(count, stages, strict=True) if n
                )
                / count.sum()
                for name, count in weights.items()
            }
        if by_stage:
            result[member] = by_stage
    return result


def _weights(fitted: FittedBlend) -> dict[str, Any]:
    return {
        **fitted.to_dict(),
        "members": list(fitted.members),
        "reason": fitted.reason,
        "evidence": fitted.table.to_dict(orient="records"),
        "candidates": {kind: blend.to_dict() for kind, blend in fitted.candidates.items()},
    }


def table_of(oof: OutOfFold, probs: Array) -> pd.DataFrame:
    """Nested predictions with what says whose and in which fold they are."""
    frame = pd.DataFrame(
        {
            "label_id": oof.label_ids,
            "patient_id": oof.patients,
            "fold": oof.folds,
            "n_votes": oof.n_votes.astype(np.int64),
        }
    )
    # float32 keeps differences of the last bits between processors out of the hashed file
    frame[list(CLASSES)] = probs.astype(np.float32)
    return frame


def plain(value: Any) -> Any:
    """JSON types only, floats rounded."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return round(float(value), DIGITS)
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    return value
