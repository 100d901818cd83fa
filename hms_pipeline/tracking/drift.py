"""Drift over time: one MLflow run that gathers every check, which MLflow draws as curves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from ..config import Paths
from .runs import KIND, find_runs, log_metrics
from .store import experiment_id, has_store, open_client, open_to_write

DAY_S = 86400
PREFIX = "psi/"
DRIFT = {KIND: "drift"}  # the tags of the run


def log_drift(paths: Paths, indices: Mapping[str, float], plot: Path) -> str:
    """Add one check to the run "drift".

    Parameters
    ----------
    paths : Paths
    indices : mapping of str to float
        Quantity → population stability index.
    plot : Path
        Put beside the run; the latest one stays.

    Returns
    -------
    str
        The run's id.
    """
    client = open_to_write(paths)
    found = find_runs(client, paths, DRIFT)
    experiment = experiment_id(client, paths)
    run = found[0] if found else client.create_run(experiment, run_name="drift", tags=DRIFT)
    metrics = {f"{PREFIX}{quantity}": value for quantity, value in indices.items()}
    log_metrics(client, run.info.run_id, metrics, step=int(time.time() // DAY_S))
    client.log_artifact(run.info.run_id, str(plot), "plot")
    client.set_terminated(run.info.run_id)
    return run.info.run_id


def read_drift(paths: Paths) -> dict[str, dict[int, float]]:
    """Quantity → day since 1970 → the day's last index; empty before the first check."""
    if not has_store(paths):
        return {}
    client = open_client(paths)
    found = find_runs(client, paths, DRIFT)[:1]
    return {
        name.removeprefix(PREFIX): {
            metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, name)
        }
        for run in found
        for name in run.data.metrics
        if name.startswith(PREFIX)
    }
