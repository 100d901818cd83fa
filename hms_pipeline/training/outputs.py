"""The files of a training: weights, held-out probabilities, history and manifest.

Equal inputs give equal bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save

from ..config.training import StageParams
from ..schema import CLASSES, VOTE_SLICES
from ..system.files import atomic, hash_file, hash_json, write_table
from ..system.packages import package_versions
from .finished import FILES, write_manifest
from .fit import Fit, Result
from .metrics import metric_name


def write_outputs(folder: Path, job: Fit, result: Result, facts: dict[str, Any]) -> dict:
    """Write the four files, the manifest last.

    Parameters
    ----------
    folder : Path
    job : Fit
    result : Result
    facts : dict
        Member, fold and what else the manifest repeats.

    Returns
    -------
    manifest : dict
    """
    _write_weights(folder / FILES[0], result)
    _write_oof(folder / FILES[1], job, result)
    _write_history(folder / FILES[2], result.history)
    files = {name: hash_file(folder / name) for name in FILES}
    manifest = {
        **facts,
        "inputs": job.data.inputs,
        "n_train": {s.name: len(job.data.stage_rows(s)) for s in job.stages},
        "n_oof": len(job.data.held_out),
        "n_parameters": sum(p.numel() for p in result.state.model.parameters()),
        "batch_size": job.batch_size,
        "precision": job.precision,
        "stages": _stage_metrics(job.stages, result.history),
        "metrics": _metrics(result.history[-1]),
        "best_epoch": _best_epoch(result.history),
        "packages": package_versions(),
        "files": files,
        "content_hash": hash_json(files),
    }
    write_manifest(folder, manifest)
    return manifest


def _write_weights(path: Path, result: Result) -> None:
    with result.state.averaged() as model:
        # Serialised here: on a CPU these are the live tensors, which the block puts back.
        weights = save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()})
    with atomic(path) as temporary:
        temporary.write_bytes(weights)


def _write_oof(path: Path, job: Fit, result: Result) -> None:
    oof = pd.DataFrame(result.probs, columns=list(CLASSES))
    oof.insert(0, "label_id", job.data.label_ids[job.data.held_out])
    write_table(path, oof)


def _write_history(path: Path, history: list[dict]) -> None:
    with atomic(path) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, lineterminator="\n")


def _metrics(record: dict) -> dict[str, float | None]:
    return {name: record[metric_name(name)] for name in VOTE_SLICES}


def _stage_metrics(stages: tuple[StageParams, ...], history: list[dict]) -> list[dict]:
    """Metrics after each stage's last epoch: what the next stage gains is their difference."""
    result, epochs = [], 0
    for stage in stages:
        epochs += stage.epochs
        record = history[epochs - 1]
        result.append(
            {
                "name": stage.name,
                "epochs": stage.epochs,
                "loss": record["loss"],
                "metrics": _metrics(record),
            }
        )
    return result


def _best_epoch(history: list[dict]) -> dict | None:
    """The epoch with the lowest deciding metric; for the log only, never used."""
    name = metric_name(">=10")
    rated = [record for record in history if record.get(name) is not None]
    if not rated:
        return None
    best = min(rated, key=lambda record: record[name])
    return {"epoch": best["epoch"], name: best[name]}
