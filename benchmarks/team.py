"""PostgreSQL and S3 against sqlite and folders.

``python -m benchmarks.team [--folds 80]`` brings up the servers of tests/team/requirements.lock. It
prints, for either way in turn: a registration, a no-op one (the same content again), a no-op
retrain of a graph of toy stages, and finished folds pushed to and pulled from DVC's remote.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from flows import stack

from . import toy
from .postgres_s3 import Servers, free_ports, missing, servers

HERE = Path(__file__).parents[1]
DVC = [sys.executable, "-m", "dvc"]
FOLD_MB = 2.0
REGISTER = """
import json, sys, time, torch
from pathlib import Path
from hms_pipeline.registry import api, stage
from tests.ensembles import Maker
torch.set_num_threads(1)
maker = Maker(Path(sys.argv[1]), n_patients=6)
maker.vote(maker.train(1))
for seed in map(int, sys.argv[2:]):
    maker.ensemble(seed, note=str(seed))
    for _ in range(2):
        print("ready", flush=True)
        begin = time.monotonic()
        found = stage.run(maker.paths, maker.with_gate())
        took = time.monotonic() - begin
        print(json.dumps([found["version"], found["champion"], took]), flush=True)
"""


@contextmanager
def stacks(backends: Servers, work: Path) -> Iterator[dict[str, dict[str, str]]]:
    """Prefect's and MLflow's server on sqlite and folders, and on PostgreSQL and S3."""
    found = {}
    try:
        for name, env in (("folders", {}), ("team", backends.environment)):
            (work / name).mkdir()
            prefect, mlflow = map(str, free_ports(2))
            own = {**env, "HMS_PREFECT_PORT": prefect, "HMS_MLFLOW_PORT": mlflow}
            run([sys.executable, "-m", "flows.stack", "servers"], work / name, own)
            found[name] = {"PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api"}
            if env:
                found[name]["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{mlflow}"
        yield found
    finally:
        for folder in work.glob("*/.run"):
            stack.down(folder.parent)


def run(command: list[str], cwd: Path, env: dict[str, str]) -> float:
    """Seconds of a command, which has to succeed."""
    begin = time.monotonic()
    done = subprocess.run(
        command, cwd=cwd, env=environment(env), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:5])} gave {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - begin


def environment(env: dict[str, str]) -> dict[str, str]:
    """A process' variables beside those given."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
    return {**os.environ, **quiet, "PATH": path, "PYTHONPATH": str(HERE), **env}


def registering(root: Path, env: dict[str, str], *seeds: int) -> subprocess.Popen[str]:
    """A machine that registers ensembles, each twice."""
    return subprocess.Popen(
        [sys.executable, "-c", REGISTER, str(root), *map(str, seeds)], cwd=HERE,
        env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def compare(backends: Servers, ways: dict[str, dict[str, str]], work: Path, folds: int) -> None:
    """Print the times of either way."""
    toy.write(work / "toy", folds=2, seconds=0.1)
    print(f"{'':<28}{'folders':>10}{'team':>10}")
    rows: dict[str, list[float]] = {}
    for name, env in ways.items():
        child = registering(work / f"made-{name}", env, 2, 1)
        out, err = child.communicate()
        if child.returncode:
            raise SystemExit(err[-2000:])
        times = [json.loads(line)[2] for line in out.splitlines() if line.startswith("[")]
        rows.setdefault("registration", []).append(times[2])
        rows.setdefault("the same again", []).append(times[3])
        graph = work / f"toy-{name}"
        shutil.copytree(work / "toy", graph, symlinks=True)
        retrain = [sys.executable, "-m", "flows.retrain", "--root", str(graph)]
        run(retrain, graph, env)
        rows.setdefault("no-op retrain", []).append(run(retrain, graph, env))
        push, pull = exchange(backends if name == "team" else None, work / f"dvc-{name}", folds)
        rows.setdefault(f"{folds} folds pushed", []).append(push)
        rows.setdefault(f"{folds} folds pulled", []).append(pull)
    for label, seconds in rows.items():
        print(f"{label:<28}{seconds[0]:>8.1f} s{seconds[1]:>8.1f} s", flush=True)


def exchange(backends: Servers | None, root: Path, folds: int) -> tuple[float, float]:
    """Seconds to push so many folds of ``FOLD_MB`` to a remote, and to pull them elsewhere."""
    rng = np.random.default_rng(0)
    for fold in range(folds):
        folder = root / "members" / f"fold-{fold}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(rng.bytes(int(FOLD_MB * 1e6)))
        for name in ("oof.parquet", "history.csv", "manifest.json"):
            (folder / name).write_bytes(rng.bytes(5_000))
    env = backends.store_keys if backends else {}
    url = f"s3://{backends.bucket}/bench" if backends else str(root.with_name("remote"))
    run([*DVC, "init", "-q", "--no-scm"], root, env)
    run([*DVC, "remote", "add", "-q", "-d", "it", url], root, env)
    if backends:
        run([*DVC, "remote", "modify", "it", "endpointurl", backends.store_url], root, env)
    run([*DVC, "add", "-q", "members"], root, env)
    push = run([*DVC, "push", "-q"], root, env)
    other = root.with_name(f"{root.name}-other")
    shutil.copytree(root / ".dvc", other / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copy2(root / "members.dvc", other)
    return push, run([*DVC, "pull", "-q"], other, env)


def main() -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folds", type=int, default=80)
    args = parser.parse_args()
    if lacking := missing():
        raise SystemExit(f"This benchmark {lacking}")
    work = Path(tempfile.mkdtemp(prefix="team-bench-"))
    try:
        with servers() as backends, stacks(backends, work) as ways:
            compare(backends, ways, work, args.folds)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
