"""What a finished retrain's run shows: numbers by slice, the choice, its data, what was changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Params, Paths
from ..config.params import read_data_hash
from ..system.files import read_sealed, read_table
from ..training.metrics import metric_name
from .runs import flatten, log_metrics, member_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG_LIMIT = 5000  # characters of a tag's value


def data_hash(paths: Paths) -> str:
    """The raw data's hash in DVC's pointer file beside it, or ``untracked``."""
    return read_data_hash(Path(f"{paths.data}.dvc")) or "untracked"


def describe_retrain(
    client: MlflowClient,
    paths: Paths,
    run_id: str,
    before: Mapping[str, Any],
    params: Params,
    origin: str,
) -> None:
    """Log a retrain's results to its run, and each member's to the member's run.

    Parameters
    ----------
    client : MlflowClient
    paths : Paths
        ``ensemble/metrics.json`` is there.
    run_id : str
        The retrain's run.
    before : mapping
        The champion's recipe, to say what was changed; empty where there is no champion.
    params : Params
    origin : str
        From ``registry.lineage.data_origin``.
    """
    metrics = read_sealed(paths.ensemble / "metrics.json", "hms ensemble")
    numbers = by_slice(metrics["ensemble"])
    numbers |= _prefixed("prior", by_slice(metrics.get("baselines", {}).get("prior", {})))
    for name, slices in metrics.get("members", {}).items():
        numbers |= _prefixed(f"members/{name}", by_slice(slices))
        log_metrics(client, member_run(client, paths, run_id, name), by_slice(slices))
    log_metrics(client, run_id, numbers)
    _log_data(client, paths, run_id, origin)
    tags = {
        "blend": metrics.get("chosen", ""),
        "blend_reason": metrics.get("reason", ""),
        "data": data_hash(paths),
        "data_origin": origin,
        "changed": changes(before, params.model_dump(mode="json")),
    }
    for key, value in tags.items():
        client.set_tag(run_id, key, value[:TAG_LIMIT])


def by_slice(slices: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """KL of each slice of votes under the name that trainings use, with its interval."""
    return {
        metric_name(name) + end: found[key]
        for name, found in slices.items()
        for end, key in (("", "kl"), ("_low", "low"), ("_high", "high"))
        if found.get(key) is not None
    }


def _prefixed(prefix: str, numbers: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{key}": value for key, value in numbers.items()}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Parameters that differ, a line each.

    Examples
    --------
    >>> changes({"training": {"seed": 0}}, {"training": {"seed": 1}})
    'training.seed: 0 → 1'
    """
    if not before:
        return "no champion to compare with"
    one, other = dict(flatten(before)), dict(flatten(now))
    return "\n".join(
        f"{key}: {one.get(key, 'absent')} → {other.get(key, 'absent')}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key, "absent") != other.get(key, "absent")
    ) or "nothing"  # fmt: skip


def _log_data(client: MlflowClient, paths: Paths, run_id: str, origin: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    windows = read_table(paths.windows, columns=["label_id"])
    data = Dataset(
        name=f"{paths.data.name} ({origin})",
        digest=data_hash(paths)[:36],
        source_type="local",
        source=json.dumps({"uri": str(paths.data)}),
        profile=json.dumps({"num_rows": len(windows)}),
    )
    client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
