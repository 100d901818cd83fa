"""Places folds to train on the nodes of an existing Ray cluster (extra `ray`); the rest runs here.

A node trains a batch of folds in a workspace of its own and hands the finished ones back through
Ray. They then lie where a local training would have left them, and the stage finds them there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hms_pipeline.config.retrain import StageNeeds
from hms_pipeline.system.cluster import connect
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import atomic
from hms_pipeline.system.quiet import QUIET
from hms_pipeline.tracking.runs import RETRAIN_RUN

from . import exchange, ray_node
from .engine import RAN, Engine, Job, StageError
from .environment import Log
from .graph import KEYS, Graph
from .handout import Batch
from .ray_node import NodeJob


class RayEngine(Engine):
    """The local engine with batches of folds placed on a Ray cluster by CPU and GPU."""

    stages_train = False  # folds are trained on the nodes, the stages run here

    def run(self, graph: Graph, stages: Any, forced: Any = ()) -> Any:
        """Connect to the cluster, then run; see ``Engine.run``."""
        self.graph = graph
        self._refs: dict[str, Any] = {}
        self._lock, self._sharing = threading.Lock(), threading.Lock()
        self._shared: set[str] = set()
        self.ray = connect(self.params.ray.address, by_value=ray_node)
        self.resources = self.ray.cluster_resources()
        self.source = self._source()
        try:
            return super().run(graph, stages, forced)
        finally:
            self._cancel()
            self.ray.shutdown()

    @property
    def has_gpus(self) -> bool:
        """Whether the cluster has any."""
        return self.resources.get("GPU", 0) > 0

    def occupies(self, batch: Batch | None, needs: StageNeeds) -> tuple[int, int]:
        """Batches wait for the cluster's resources, not for this machine's."""
        return (0, 0) if batch else super().occupies(batch, needs)

    def at_once(self, needs: StageNeeds) -> int:
        """How many batches the cluster runs at the same time."""
        by_cpu = int(self.resources.get("CPU", 1)) // needs.cpu
        by_gpu = int(self.resources.get("GPU", 0)) // max(1, needs.gpu)
        return min(by_cpu, by_gpu) if self.has_gpus and needs.gpu else by_cpu

    def execute(self, job: Job, log: Log) -> tuple[str, str]:
        """Train a batch on a node and keep what it hands back."""
        if job.batch is None:
            return super().execute(job, log)
        node_job = self._node_job(job)
        if node_job.commit:
            self._share(node_job.inputs, log)
        log.info("%s: %s; waiting for a node", job.name, job.reason)
        return RAN, f"Trained on {self._on_node(job, node_job, log)}."

    def _share(self, stages: Sequence[str], log: Log) -> None:
        """Hand a batch's inputs to DVC's remote, once, where nodes without a shared folder look."""
        with self._sharing:
            fresh = [stage for stage in stages if stage not in self._shared]
            try:
                if fresh:
                    exchange.push(self.root, fresh, log)
            except InputError as err:
                raise StageError(str(err), permanent=True) from None
            self._shared |= set(fresh)

    def _on_node(self, job: Job, node_job: NodeJob, log: Log) -> str:
        """Stream a batch from its node; the cluster places it again if the node dies.

        Returns
        -------
        node : str
            Where it ended.
        """
        full = self.params.needs(job.stage)
        remote = self.ray.remote(ray_node.run_on_node).options(
            name=job.name,
            num_cpus=full.cpu,
            num_gpus=full.gpu if self.has_gpus else 0,
            num_returns="streaming",
            max_retries=self.params.ray.retries,
        )
        stream = remote.remote(node_job)
        with self._lock:
            self._refs[job.name] = stream
        tail: list[str] = []
        node, code = "a node", None
        try:
            for reference in stream:
                kind, value = self.ray.get(reference)
                if kind == "node" and value != node:
                    node = str(value)
                    log.info("%s runs on %s", job.name, node)
                elif kind == "line":
                    tail = [*tail[-19:], str(value)]
                    log.info(value)
                elif kind == "fold":
                    self._keep(*value)
                elif kind == "code":
                    code = int(value)
        except self.ray.exceptions.RayError as err:
            raise StageError(f"{job.name} on {node}: {err}") from None
        finally:
            with self._lock:
                self._refs.pop(job.name, None)
        if code:
            text = "\n".join(tail)
            raise StageError(f"{job.name} on {node} exited with {code}:\n{text}", code == 2)
        return node

    def _keep(self, key: str, files: Mapping[str, bytes]) -> None:
        """Lay a finished fold where the stage looks for it, which checks it by its hashes."""
        with atomic(self.root / "artifacts" / ".folds" / key) as temporary:
            temporary.mkdir()
            for name, content in files.items():
                (temporary / name).write_bytes(content)

    def _node_job(self, job: Job) -> NodeJob:
        root, commit = self.source
        lock = self.root / "dvc.lock"
        tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
        if "://" not in tracking or tracking.startswith(("sqlite:", "file:")):
            # Other machines reach a server rather than a file of this one.
            own = f"sqlite:///{self.root / 'mlruns' / 'mlflow.db'}"
            tracking = os.environ.get("HMS_MLFLOW_URL") or tracking or own
        run = {key: value for key, value in job.env.items() if key == RETRAIN_RUN}
        return NodeJob(
            command=job.command[1:],
            inputs=tuple(
                parent
                for parent in self.graph.parents[job.stage]
                if self.graph.commands[parent] and parent != KEYS
            ),
            root=root,
            commit=commit,
            scratch=self.params.ray.scratch,
            time_limit_s=job.needs.time_limit_s,
            files={"dvc.lock": lock.read_text(encoding="utf-8")} if lock.exists() else {},
            env={**QUIET, **run, "MLFLOW_TRACKING_URI": tracking, "PYTHONUNBUFFERED": "1"},
        )

    def _source(self) -> tuple[str, str | None]:
        """Where nodes find the code: the shared folder, or git at the commit that is pushed."""
        if self.params.ray.exchange == "shared":
            return str(self.root), None
        if exchange.changed(self.root):
            raise InputError(
                "Nodes get the code from git, but files here differ from the commit. Commit and"
                " push them, or set retrain.ray.exchange to 'shared'."
            )
        git = partial(exchange.git, self.root)
        return git("remote", "get-url", "origin"), git("rev-parse", "HEAD")

    def _cancel(self) -> None:
        """End what still runs on nodes."""
        with self._lock:
            for stream in self._refs.values():
                self.ray.cancel(stream)
