"""Trainings as MLflow runs: retrain → member → fold, with live curves and content hashes."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..config import Params, Paths
from ..system.files import hash_file, hash_json
from ..system.locks import locked
from ..training.callback import TrainingCallback
from ..training.finished import read_checked, read_manifest
from ..training.metrics import metric_name
from .checkout import git_commit
from .killed import close_killed, made_here
from .monitor import finish_monitor, start_monitor
from .store import experiment_id, open_to_write

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

log = logging.getLogger(__name__)
RETRAIN_RUN = "HMS_RETRAIN_RUN"  # the parent's run id, for stages of a flow
PARENT = "mlflow.parentRunId"
KIND, KEY = "hms.kind", "hms.key"
STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


class FoldRun(TrainingCallback):
    """One training as a run under its member's run under the retrain's run.

    An error of tracking is logged and never stops a training. A fold without a run gets one when
    it is registered.

    Parameters
    ----------
    paths : Paths
    params : Params
    """

    def __init__(self, paths: Paths, params: Params) -> None:
        self.paths, self.params = paths, params
        self.client: Any = None
        self.run_id: str | None = None
        self.monitor: SystemMetricsMonitor | None = None

    def on_start(self, info: dict[str, Any]) -> None:
        """Open the run; its parents are found or made."""
        with _tolerant():
            self.client = open_to_write(self.paths)
            close_killed(self.client, self.paths, experiment_id(self.client, self.paths), ("fold",))
            parent = parent_run(self.client, self.paths, self.params)
            self.run_id = _fold_run(self.client, self.paths, parent, info["member"], info["fold"])
            log_params(self.client, self.run_id, info)
            self.monitor = start_monitor(self.client, self.run_id)

    def on_epoch(self, step: int, metrics: dict[str, float]) -> None:
        """One batch of metrics an epoch."""
        with _tolerant():
            if self.run_id is not None:
                log_metrics(self.client, self.run_id, metrics, step)

    def on_end(self, manifest: dict[str, Any], folder: Path) -> None:
        """Tag the run with its content's hash, keep history and manifest, finish it."""
        self._stop_monitor()
        with _tolerant():
            if self.run_id is not None:
                _finish_fold(self.client, self.run_id, manifest, folder)

    def on_error(self, err: BaseException) -> None:
        """Mark the run as failed."""
        self._stop_monitor()
        with _tolerant():
            if self.run_id is not None:
                self.client.set_tag(self.run_id, "error", type(err).__name__)
                killed = isinstance(err, KeyboardInterrupt | SystemExit)
                self.client.set_terminated(self.run_id, "KILLED" if killed else "FAILED")

    def _stop_monitor(self) -> None:
        with _tolerant():
            if self.monitor is not None:
                finish_monitor(self.monitor)


@contextmanager
def _tolerant() -> Iterator[None]:
    try:
        yield
    except Exception as err:  # MLflow, sqlite and the disk each have their own
        log.warning("Tracking failed (%s); training goes on without.", err)


def start_retrain(paths: Paths, params: Params) -> str:
    """Open a retrain's parent run and give its id."""
    client = open_to_write(paths)
    return _retrain_run(client, paths, params)


def _retrain_run(client: MlflowClient, paths: Paths, params: Params) -> str:
    close_killed(client, paths, experiment_id(client, paths), ("retrain", "member", "fold"))
    tags = {
        KIND: "retrain",
        KEY: _retrain_key(paths, params),
        "recipe": params.recipe,
        "git_commit": git_commit(paths),
    }
    run_id = _create(client, paths, f"retrain {params.recipe}", tags)
    log_params(client, run_id, params.model_dump(mode="json"))
    return run_id


def _create(client: MlflowClient, paths: Paths, name: str, tags: Mapping[str, str]) -> str:
    tags = {**tags, **made_here(paths)}
    run = client.create_run(experiment_id(client, paths), run_name=name, tags=tags)
    return run.info.run_id


def parent_run(client: MlflowClient, paths: Paths, params: Params) -> str:
    """The retrain that stages of this process belong to: by environment, else by content."""
    given = os.environ.get(RETRAIN_RUN)
    if given:
        return given
    with locked(paths.mlruns / "tracking.lock"):
        found = find_runs(
            client, paths, {KIND: "retrain", KEY: _retrain_key(paths, params)}, running=True
        )
        return found[0].info.run_id if found else _retrain_run(client, paths, params)


def _retrain_key(paths: Paths, params: Params) -> str:
    windows = hash_file(paths.windows) if paths.windows.exists() else None
    return hash_json([params.model_dump(mode="json"), windows])


def member_run(client: MlflowClient, paths: Paths, parent: str, member: str) -> str:
    """The run of one member of a retrain; made where there is none."""
    tags = {KIND: "member", PARENT: parent, "member": member}
    with locked(paths.mlruns / "tracking.lock"):
        found = find_runs(client, paths, tags)
        return found[0].info.run_id if found else _create(client, paths, member, tags)


def _fold_run(client: MlflowClient, paths: Paths, parent: str, member: str, fold: int) -> str:
    tags = {
        KIND: "fold",
        PARENT: member_run(client, paths, parent, member),
        "retrain": parent,
        "member": member,
        "fold": str(fold),
    }
    return _create(client, paths, f"{member}-{fold}", tags)


def find_runs(
    client: MlflowClient, paths: Paths, tags: Mapping[str, str], *, running: bool = False
) -> list[Run]:
    """Runs of this project with these tags, the latest first."""
    terms = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    if running:
        terms.append("attributes.status = 'RUNNING'")
    return client.search_runs(
        [experiment_id(client, paths)],
        filter_string=" and ".join(terms),
        order_by=["attributes.start_time DESC"],
    )


def log_params(client: MlflowClient, run_id: str, values: Mapping[str, Any]) -> None:
    """Log nested values as flat parameters."""
    from mlflow.entities import Param

    flat = [Param(key, str(value)[:6000]) for key, value in flatten(values)]
    for first in range(0, len(flat), 100):
        client.log_batch(run_id, params=flat[first : first + 100])


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values as pairs of a dotted name, spelt as MLflow allows, and a value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + _mlflow_name(str(key)), value


def _mlflow_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name.replace(">=", "ge"))


def log_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float], step: int = 0
) -> None:
    """Log the finite ones of some metrics in one batch."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    batch = [
        Metric(_mlflow_name(key), float(value), now, step)
        for key, value in metrics.items()
        if value is not None and value == value and abs(value) != float("inf")
    ]
    client.log_batch(run_id, metrics=batch)


def _finish_fold(
    client: MlflowClient, run_id: str, manifest: Mapping[str, Any], folder: Path
) -> None:
    for name in ("manifest.json", "history.csv"):
        client.log_artifact(run_id, str(folder / name))
    metrics = {metric_name(key): value for key, value in manifest.get("metrics", {}).items()}
    log_metrics(client, run_id, metrics, len(_history(folder, manifest)))
    # The tag comes last: a run that carries it is complete.
    client.set_tag(run_id, "content_hash", manifest["content_hash"])
    client.set_terminated(run_id)


def link_folds(
    client: MlflowClient, paths: Paths, params: Params, parent: str
) -> dict[str, dict[str, str]]:
    """Find every present fold's run by its content's hash; make one where there is none.

    Parameters
    ----------
    client : MlflowClient
    paths : Paths
    params : Params
    parent : str
        The retrain that is being finished.

    Returns
    -------
    dict
        ``"<member>-<fold>"`` → ``run_id, content_hash`` and ``how``: ``trained`` in this
        retrain, ``reused`` from an earlier one, or ``restored`` from files without a run.
    """
    links = {}
    for member, fold in params.trainings:
        key, folder = f"{member}-{fold}", paths.fold(member, fold)
        if not (folder / "manifest.json").exists():
            continue
        manifest = read_manifest(folder)
        content_hash = manifest["content_hash"]
        found = find_runs(client, paths, {KIND: "fold", "content_hash": content_hash})
        ours = [run for run in found if run.data.tags.get("retrain") == parent]
        if ours:
            run_id, how = ours[0].info.run_id, ours[0].data.tags.get("hms.how", "trained")
        elif found:
            run_id, how = found[0].info.run_id, "reused"
        else:
            run_id, how = _restore(client, paths, parent, manifest, folder), "restored"
        links[key] = {"run_id": run_id, "content_hash": content_hash, "how": how}
    _tag_links(client, parent, links)
    return links


def _tag_links(client: MlflowClient, parent: str, links: Mapping[str, Mapping[str, str]]) -> None:
    from mlflow.entities import RunTag

    tags = [
        RunTag(f"reused.{key}", link["run_id"])
        for key, link in links.items()
        if link["how"] == "reused"
    ]
    for first in range(0, len(tags), 100):
        client.log_batch(parent, tags=tags[first : first + 100])


def _restore(
    client: MlflowClient, paths: Paths, parent: str, manifest: Mapping[str, Any], folder: Path
) -> str:
    run_id = _fold_run(client, paths, parent, manifest["member"], manifest["fold"])
    client.set_tag(run_id, "hms.how", "restored")
    plain = ("architecture", "views", "model", "n_train", "n_oof", "inputs")
    log_params(client, run_id, {key: manifest[key] for key in plain if key in manifest})
    numbers = _history(folder, manifest).select_dtypes("number")
    for step, row in enumerate(
        numbers.drop(columns="epoch", errors="ignore").to_dict("records"), 1
    ):
        log_metrics(client, run_id, row, step)
    _finish_fold(client, run_id, manifest, folder)
    return run_id


def _history(folder: Path, manifest: Mapping[str, Any]) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(read_checked(folder, manifest, "history.csv")))


def finish_retrain(paths: Paths, run_id: str, summary: Mapping[str, Any] | None = None) -> None:
    """Close a retrain's run and whatever under it is still open.

    Parameters
    ----------
    paths : Paths
    run_id : str
    summary : mapping, optional
        ``status`` (``finished``, ``failed`` or ``killed``) and what else is kept beside the run.
    """
    client = open_to_write(paths)
    summary = dict(summary or {"status": "finished"})
    status = STATUS[summary["status"]]
    left = "FINISHED" if status == "FINISHED" else "KILLED"
    members = find_runs(client, paths, {KIND: "member", PARENT: run_id})
    for member in members:
        for fold in find_runs(client, paths, {PARENT: member.info.run_id}, running=True):
            client.set_terminated(fold.info.run_id, "KILLED")
        if member.info.status == "RUNNING":
            client.set_terminated(member.info.run_id, left)
    client.log_dict(run_id, summary, "summary.json")
    seconds = summary.get("seconds") or {}
    log_metrics(client, run_id, {f"seconds/{stage}": value for stage, value in seconds.items()})
    client.set_terminated(run_id, status)
