"""Places trainings on the nodes of an existing Ray cluster (extra `ray`); the rest runs here.

A placed stage comes back through DVC's cache: the head runs `dvc repro` of it like the local
engine, and DVC restores what the node computed. Hence the same artifacts and the same dvc.lock.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any

from hms_pipeline.config.retrain import StageNeeds
from hms_pipeline.system.errors import InputError

from . import ray_node
from .engine import ADVICE, EXIT, RAN, RESTORED, Engine, Job, StageError, verdict_of
from .environment import QUIET
from .graph import Graph, match
from .ray_node import NodeJob


class RayEngine(Engine):
    """The local engine with some stages placed on a Ray cluster by CPU and GPU."""

    def run(self, graph: Graph, stages: Any, forced: Any = ()) -> Any:
        """Connect to the cluster, then run; see ``Engine.run``."""
        self.graph = graph
        self.placed = {
            stage
            for name in self.params.ray.stages
            for stage in graph.stages
            if name in (stage, stage.partition("@")[0])
        }
        match(graph.stages, self.params.ray.stages)
        if self.placed.intersection(forced):
            raise InputError(
                "Engine 'ray' brings stages back through DVC's cache, so it cannot force"
                f" {min(self.placed.intersection(forced))}. Leave out --force, or force by the"
                " local engine."
            )
        self._refs: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.ray = connect(self.params.ray.address)
        self.has_gpus = self.ray.cluster_resources().get("GPU", 0) > 0
        self.source = self._source()
        try:
            return super().run(graph, stages, forced)
        finally:
            self._cancel()
            self.ray.shutdown()

    def occupies(self, stage: str, needs: StageNeeds) -> tuple[int, int]:
        """Placed stages wait for the cluster's resources, not for this machine's."""
        return (0, 0) if stage in self.placed else super().occupies(stage, needs)

    def execute(self, job: Job, log: logging.Logger | logging.LoggerAdapter) -> tuple[str, str]:
        """Run a placed stage on a node and restore its outputs here."""
        if job.stage not in self.placed:
            return super().execute(job, log)
        log.info("%s: %s; waiting for a node", job.stage, job.reason)
        node, verdict = self._on_node(job, log)
        if self.source[1]:
            self._dvc("fetch", "-q", "--run-cache", job.stage)
        here = Job(
            job.stage,
            job.root,
            f"trained on {node}",
            force=False,
            needs=job.needs.model_copy(update={"cpu": 1, "gpu": 0}),
            env=job.env,
        )
        state, message = super().execute(here, log)
        if state == RAN:
            log.warning("%s was not found in the exchange and ran here again.", job.stage)
            return state, message
        return verdict, f"{verdict} on {node}."

    def _on_node(self, job: Job, log: logging.Logger | logging.LoggerAdapter) -> tuple[str, str]:
        """Stream a stage from its node; the cluster places it again if the node dies.

        Returns
        -------
        node, state : str
            Where it ended, and what became of it there.
        """
        full = self.params.needs(job.stage)
        remote = self.ray.remote(ray_node.run_on_node).options(
            name=job.stage,
            num_cpus=full.cpu,
            num_gpus=full.gpu if self.has_gpus else 0,
            num_returns="streaming",
            max_retries=self.params.ray.retries,
        )
        stream = remote.remote(self._node_job(job, full))
        with self._lock:
            self._refs[job.stage] = stream
        node, tail, code = "a node", [], None
        try:
            for reference in stream:
                kind, value = self.ray.get(reference)
                if kind == "node" and value != node:
                    node = str(value)
                    log.info("%s runs on %s", job.stage, node)
                elif kind == "node":
                    continue
                elif kind == "line":
                    tail = [*tail[-19:], str(value)]
                    if not ADVICE.match(str(value)):
                        log.info(value)
                else:
                    code = int(value)
        except self.ray.exceptions.RayError as err:
            stopped = self.children.stopping
            raise StageError(f"{job.stage} on {node}: {err}", hopeless=stopped) from None
        finally:
            with self._lock:
                self._refs.pop(job.stage, None)
        if code:
            text = "\n".join(tail)
            shown = int((EXIT.findall(text) or [code])[-1])
            raise StageError(f"{job.stage} on {node} exited with {shown}:\n{text}", shown == 2)
        state, _ = verdict_of(job.stage, tail)
        return node, RESTORED if state == RESTORED else RAN

    def _node_job(self, job: Job, needs: StageNeeds) -> NodeJob:
        root, commit = self.source
        lock = self.root / "dvc.lock"
        tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
        if "://" not in tracking or tracking.startswith(("sqlite:", "file:")):
            # Other machines reach a server rather than a file of this one.
            own = f"sqlite:///{self.root / 'mlruns' / 'mlflow.db'}"
            tracking = os.environ.get("HMS_MLFLOW_URL") or tracking or own
        run = {key: value for key, value in job.env.items() if key == "HMS_RETRAIN_RUN"}
        return NodeJob(
            stage=job.stage,
            inputs=tuple(p for p in self.graph.parents[job.stage] if self.graph.commands[p]),
            root=root,
            commit=commit,
            scratch=self.params.ray.scratch,
            time_limit_s=needs.time_limit_s,
            files={"dvc.lock": lock.read_text(encoding="utf-8")} if lock.exists() else {},
            env={**QUIET, **run, "MLFLOW_TRACKING_URI": tracking, "PYTHONUNBUFFERED": "1"},
        )

    def _source(self) -> tuple[str, str | None]:
        """Where nodes find the code: the shared folder, or git at the commit that is pushed."""
        if self.params.ray.exchange == "shared":
            return str(self.root), None
        if self._git("status", "--porcelain", "--untracked-files=no", "--", ":!dvc.lock"):
            raise InputError(
                "Nodes get the code from git, but files here differ from the commit. Commit and"
                " push them, or set retrain.ray.exchange to 'shared'."
            )
        return self._git("remote", "get-url", "origin"), self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise InputError(f"git {arguments[0]} failed: {' '.join(done.stderr.split())}")
        return done.stdout.strip()

    def _dvc(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
        subprocess.run(command, cwd=self.root, check=True, capture_output=True)

    def _cancel(self) -> None:
        """End what still runs on nodes."""
        with self._lock:
            for stream in self._refs.values():
                self.ray.cancel(stream)


def connect(address: str) -> Any:
    """Connect to an existing cluster; ``ray_node`` travels to its nodes by value.

    Raises
    ------
    InputError
        Ray is not installed, or there is no cluster.
    """
    try:
        import ray
        from ray import cloudpickle
    except ImportError:
        raise InputError("Engine 'ray' needs the extra: pip install 'hms-pipeline[ray]'.") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise InputError(
            f"Engine 'ray' needs a running cluster at {address!r}: {reason} Start one (ray start"
            " --head) or set retrain.ray.address."
        ) from None
    cloudpickle.register_pickle_by_value(ray_node)
    return ray
