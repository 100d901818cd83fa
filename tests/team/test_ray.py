"""Folds trained on Ray nodes that see neither the head's folder nor each other's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

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
N_EPOCHS = 30  # so that a fold takes seconds
NODES = ("node-1", "node-2")


def join(machine: Machine, *arguments: str) -> None:
    """Start Ray on a machine; it ends with the machine."""
    at = f"--node-ip-address={machine.place.address}"
    ray = (sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", at)
    machine.run(*ray, f"--object-store-memory={OBJECTS}", *arguments)


def fold_runs(team: Team, status: str) -> list[tuple[str, str]]:
    """Fold and machine of each of MLflow's runs of folds."""
    from mlflow import MlflowClient

    client = MlflowClient(team.addresses["MLFLOW_TRACKING_URI"])
    experiments = [found.experiment_id for found in client.search_experiments()]
    asked = f"tags.`hms.kind` = 'fold' and attributes.status = '{status}'"
    tags = [run.data.tags for run in client.search_runs(experiments, asked)]
    return [(tag["fold"], tag[PROCESS].split()[0]) for tag in tags]


def kill_one(team: Team, nodes: list[Machine], retrain: subprocess.Popen) -> Machine:
    """Let the first node die that trains; which one."""
    by_name = {node.root.name: node for node in nodes}
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until and retrain.poll() is None:
        for _, where in fold_runs(team, "RUNNING"):
            by_name[where].place.kill()
            return by_name[where]
        time.sleep(0.5)
    pytest.fail("no node began to train")


def test_a_dead_node_costs_its_folds_alone(team: Team, origin: str, tmp_path: Path) -> None:
    keys, scratch = team.backends.store_keys, tmp_path / "scratch"
    author = Machine(tmp_path / "author-of-ray", {})
    subprocess.run(["git", "clone", "-q", origin, str(author.root)], check=True)
    recipe = author.root / "params.yaml"
    text = recipe.read_text().replace("exchange: shared", "exchange: remote")
    text = text.replace("epochs: 1\n", f"epochs: {N_EPOCHS}\n")
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
    dead = kill_one(team, nodes, process)
    assert process.wait(WITHIN_S) == 0, log.read_text()[-4000:]

    made = list((head.root / "artifacts/.folds").glob("*/manifest.json"))
    linked = list((head.root / "artifacts/members").glob("*/fold-*/weights.safetensors"))
    assert len(made) == len(linked) == 2
    finished, ended = fold_runs(team, "FINISHED"), fold_runs(team, "KILLED")
    assert sorted(fold for fold, _ in finished) == ["0", "1"]
    ((fold, where),) = ended
    assert where == dead.root.name
    (alive,) = set(NODES) - {where}
    assert (fold, alive) in finished
    assert "up to date" in head.run(sys.executable, "-m", "dvc", "status", "train@eegnet")
