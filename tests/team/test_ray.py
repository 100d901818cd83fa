"""Folds trained on Ray nodes that see neither the head's folder nor each other's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from hms_pipeline.tracking.killed import PROCESS

from .conftest import Machine, Team, cloned, git
from .network import lacking

pytestmark = [
    pytest.mark.team,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("HMS_TEAM") != "whole", reason="minutes: HMS_TEAM=whole"),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.skipif(lacking() is not None, reason=f"nodes of their own: {lacking()}"),
    pytest.mark.timeout(3600),
]
PORT = 6379  # each machine has its own
OBJECTS = 100_000_000  # bytes of a node's memory for what travels
WITHIN_S = 600
NODES = ("node-1", "node-2")


def join(machine: Machine, *arguments: str) -> None:
    """Start Ray on a machine; it ends with the machine."""
    at = f"--node-ip-address={machine.place.address}"
    ray = (sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", at)
    machine.run(*ray, f"--object-store-memory={OBJECTS}", *arguments)


def trainings(machine: Machine) -> Iterator[str]:
    """Members whose folds a machine trains now."""
    for pid in machine.place.processes():
        try:
            command = psutil.Process(pid).cmdline()
        except psutil.Error:
            continue
        if command[1:4] == ["-m", "hms_pipeline", "train"]:
            yield command[4]


def kill_one(nodes: list[Machine], retrain: subprocess.Popen, log: Path) -> tuple[Machine, str]:
    """Let a node die while it trains; which one, and what."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until and retrain.poll() is None:
        for node in nodes:
            for member in trainings(node):
                time.sleep(5)
                node.place.kill()
                return node, member
        time.sleep(0.2)
    pytest.fail(f"no node began to train:\n{log.read_text()[-4000:]}")


def fold_runs(team: Team, status: str) -> list[tuple[str, str, str]]:
    """Member, fold and machine of MLflow's runs of folds."""
    from mlflow import MlflowClient

    client = MlflowClient(team.addresses["MLFLOW_TRACKING_URI"])
    experiments = [found.experiment_id for found in client.search_experiments()]
    asked = f"tags.`hms.kind` = 'fold' and attributes.status = '{status}'"
    tags = [run.data.tags for run in client.search_runs(experiments, asked)]
    return [(tag["member"], tag["fold"], tag[PROCESS].split()[0]) for tag in tags]


def test_a_dead_node_costs_its_folds_alone(team: Team, origin: str, tmp_path: Path) -> None:
    keys, scratch = team.backends.store_keys, tmp_path / "scratch"
    author = Machine(tmp_path / "author-of-ray", {})
    subprocess.run(["git", "clone", "-q", origin, str(author.root)], check=True)
    recipe = author.root / "params.yaml"
    text = recipe.read_text().replace("exchange: shared", "exchange: remote")
    recipe.write_text(text.replace("scratch: /tmp", f"scratch: {scratch}"))
    git(author, "commit", "-q", "-a", "-m", "nodes of their own")
    git(author, "push", "-q", "origin", "HEAD:main")

    alone = (scratch, Path("/tmp/ray"))
    head = cloned(team, origin, tmp_path / "head", {**team.addresses, **keys}, *alone)
    address = f"{head.place.address}:{PORT}"
    head.env = {**head.env, "RAY_ADDRESS": address}
    join(head, "--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false")
    nodes = []
    for name in NODES:
        (tmp_path / name).mkdir()
        nodes.append(team.machine(tmp_path / name, keys, *alone))
        join(nodes[-1], f"--address={address}", "--num-cpus=1")

    head.run(sys.executable, "-m", "dvc", "pull", "-q", "data.dvc")
    retrain = (sys.executable, "-m", "flows.retrain", "--engine", "ray", "--until", "train")
    log = tmp_path / "retrain.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            head.command(*retrain), cwd=head.root, env=head.environment, stdout=out, stderr=out
        )
    dead, member = kill_one(nodes, process, log)
    assert process.wait(WITHIN_S) == 0, log.read_text()[-4000:]

    made = list((head.root / "artifacts/.folds").glob("*/manifest.json"))
    linked = list((head.root / "artifacts/members").glob("*/fold-*/weights.safetensors"))
    assert len(made) == len(linked) == 4
    finished, ended = fold_runs(team, "FINISHED"), fold_runs(team, "KILLED")
    counts = Counter((name, fold) for name, fold, _ in finished)
    assert {name for name, _ in counts} == {"eegnet", "v2s-spec"}
    again = {name for (name, _), count in counts.items() if count > 1}
    assert again <= {member}, finished  # a fold that the dead node had finished, but not its batch
    assert {(name, where) for name, _, where in ended} == {(member, dead.root.name)}
    assert len(ended) == 1
    (alive,) = set(NODES) - {dead.root.name}
    assert {where for _, _, where in finished} - {dead.root.name} == {alive}
    assert "up to date" in head.run(
        sys.executable, "-m", "dvc", "status", "train@eegnet", "train@v2s-spec"
    )
