"""The engine on a toy graph, through real servers and processes, as a user starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import yaml

from benchmarks import toy
from benchmarks.postgres_s3 import free_ports
from flows.processes import MARK

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.stack]
TRAININGS = [f"train@{member}-{fold}" for member in ("eegnet", "v2s") for fold in range(2)]


@pytest.fixture(scope="module")
def make_toy(tmp_path_factory) -> Callable[..., Path]:
    """Writes toy repositories: copies of one, whose stages take so long."""
    made = tmp_path_factory.mktemp("made") / "toy"
    toy.write(made, folds=2, seconds=0.1)

    def make(folder: Path, seconds: float = 0.1) -> Path:
        shutil.copytree(made, folder)
        (folder / "dvc.yaml").write_text(toy.graph(2, seconds), encoding="utf-8")
        return folder.resolve()

    return make


@pytest.fixture(scope="module")
def stack(make_toy, tmp_path_factory):
    """A stack of its own, over a toy repository."""
    root = make_toy(tmp_path_factory.mktemp("stack") / "toy")
    env = stack_environment()
    command = [sys.executable, "-m", "flows.stack"]
    done = subprocess.run(
        [*command, "up", "--root", str(root)], env=env, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    yield root, {**env, "PREFECT_API_URL": f"http://127.0.0.1:{env['HMS_PREFECT_PORT']}/api"}
    subprocess.run([*command, "down", "--root", str(root)], env=env, cwd=ROOT, check=True)
    assert [p for p in psutil.process_iter() if str(root) in command_line(p)] == []


def stack_environment() -> dict[str, str]:
    """Variables of a stack on free ports, whose worker looks for runs every second."""
    prefect, mlflow = free_ports(2)
    own = {"HMS_PREFECT_PORT": str(prefect), "HMS_MLFLOW_PORT": str(mlflow)}
    own["PREFECT_WORKER_QUERY_SECONDS"] = "1"
    return {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | own


@pytest.fixture
def repository(make_toy, stack, tmp_path) -> tuple[Path, dict[str, str]]:
    return make_toy(tmp_path / "toy"), stack[1]


@pytest.fixture(scope="module")
def retrained(make_toy, stack, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A toy repository after its first retrain."""
    root = make_toy(tmp_path_factory.mktemp("retrained") / "toy")
    code, output = retrain(root, stack[1])
    assert code == 0, output
    return root, stack[1]


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def start(root: Path, env: dict[str, str], *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.retrain", "--root", str(root), *arguments],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def retrain(root: Path, env: dict[str, str], *arguments: str) -> tuple[int, str]:
    process = start(root, env, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def runs(root: Path) -> list[str]:
    log = root / "runs.log"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def hashes(root: Path) -> dict[str, str]:
    stages = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    return {o["path"]: o["md5"] for stage in stages.values() for o in stage.get("outs", ())}


def edit_recipe(root: Path, **changes: object) -> None:
    path = root / "params.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["retrain"] |= changes
    path.write_text(yaml.safe_dump(recipe))


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def living(root: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK, "").endswith(f" {root}")
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(command_line(process))
        except (psutil.Error, OSError):
            continue
    return found


def test_same_artifacts_as_dvc_and_nothing_to_do_afterwards(retrained, make_toy, tmp_path):
    root, env = retrained
    assert sorted(runs(root)) == sorted(
        (
            "validate",
            "split",
            "features@bipolar",
            "features@spec",
            *TRAININGS,
            "ensemble",
            "register",
        )
    )
    plain = make_toy(tmp_path / "plain")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=plain, check=True)
    assert hashes(root) == hashes(plain)

    code, output = retrain(root, env)
    assert code == 0
    assert "Nothing to do: 11 stages are up to date. Only register ran" in output
    assert runs(root)[-1] == "register"
    assert len(runs(root)) == 11


def test_new_data_is_retrained_and_an_unchanged_stage_stops_the_wave(retrained, tmp_path):
    root, env = shutil.copytree(retrained[0], tmp_path / "toy").resolve(), retrained[1]
    (root / "data" / "more.csv").write_text("label_id\n3\n")
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "data"], cwd=root, check=True)
    code, output = retrain(root, env)
    assert code == 0, output
    assert runs(root).count("train@v2s-1") == 2
    (root / "data" / "more.csv").unlink()
    code, output = retrain(root, env)  # back to the first data: DVC's run cache has all of it
    assert code == 0, output
    assert runs(root).count("train@v2s-1") == 2
    assert "Restored" in output


def test_until_only_and_force(repository):
    root, env = repository
    assert retrain(root, env, "--until", "split")[0] == 0
    assert runs(root) == ["validate", "split"]
    assert retrain(root, env, "--only", "features@spec")[0] == 0
    assert runs(root)[2:] == ["features@spec"]
    code, output = retrain(root, env, "--until", "split", "--force", "split")
    assert code == 0, output
    assert runs(root)[3:] == ["split"]
    code, output = retrain(root, env, "--only", "banana")
    assert code == 2
    assert "Unknown stage 'banana'" in output.splitlines()[-1]


def test_failures_are_retried_bad_input_is_not_and_the_rest_goes_on(repository):
    root, env = repository
    failures = {"train@eegnet-0": [1], "train@v2s-1": [2]}
    (root / "failures.json").write_text(json.dumps(failures))
    code, output = retrain(root, env)
    assert code == 1
    assert "1 of 11 stages failed, 2 were not run. First train@v2s-1" in output
    done = runs(root)
    assert {"train@eegnet-0", "train@eegnet-1", "train@v2s-0"} <= set(done)
    assert not {"train@v2s-1", "ensemble", "register"} & set(done)
    code, output = retrain(root, env)
    assert code == 0, output
    assert runs(root)[len(done) :] == ["train@v2s-1", "ensemble", "register"]


def test_time_limit_ends_a_stage(make_toy, tmp_path, stack):
    root = make_toy(tmp_path / "toy", seconds=30)
    needs = {"cpu": 1, "gpu": 0, "time_limit_s": 4}
    edit_recipe(root, default=needs, retries=0)
    begin = time.monotonic()
    code, output = retrain(root, stack[1])
    assert code == 1
    assert "ended after its time limit of 4 s" in output
    assert time.monotonic() - begin < 90
    assert living(root) == []


def test_second_retrain_is_refused_or_queued(make_toy, tmp_path, stack):
    root, env = make_toy(tmp_path / "toy", seconds=2), stack[1]
    first = start(root, env)
    wait_until(lambda: runs(root))
    edit_recipe(root, when_busy="refuse")
    code, output = retrain(root, env)
    assert code == 2
    assert "One retrain at a time is possible" in output.splitlines()[-1]
    edit_recipe(root, when_busy="queue")
    code, output = retrain(root, env)
    assert code == 0
    assert "Queued: another one" in output
    assert "Nothing to do" in output
    assert first.wait(timeout=120) == 0
    first.stdout.close()
    done = runs(root)
    assert done.count("register") == 2  # by both
    assert len(set(done)) == len(done) - 1  # and every other stage once


def test_cancelled_run_takes_its_stages_along(make_toy, tmp_path, stack):
    root = make_toy(tmp_path / "toy", seconds=60)
    process = start(root, stack[1])
    wait_until(lambda: any("stage.py" in line for line in living(root)), 120)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: not living(root), 20)


def test_scheduled_deployment_runs_through_the_worker(stack):
    root, env = stack
    command = [sys.executable, "-m", "prefect", "deployment", "run", "retrain/nightly", "--watch"]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(set(runs(root))) == sorted(runs(root))
    names = {artifact["key"] for artifact in api(env, "artifacts/latest/filter")}
    assert {"retrain-progress", "retrain-stages"} <= names
    tasks = {task["name"] for task in api(env, "task_runs/filter")}
    assert {"validate", "train@v2s-1", "ensemble"} <= tasks
    deployed = {deployment["name"] for deployment in api(env, "deployments/filter")}
    assert {"nightly", "hourly", "daily", "on-demand"} <= deployed
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    wait_until(lambda: api(env, "flow_runs/filter", scheduled))
    due = [run["expected_start_time"] for run in api(env, "flow_runs/filter", scheduled)]
    assert min(map(datetime.fromisoformat, due)) > datetime.now(UTC) + timedelta(hours=10)


def api(env: dict[str, str], path: str, body: dict | None = None) -> list[dict]:
    request = urllib.request.Request(
        f"{env['PREFECT_API_URL']}/{path}",
        data=json.dumps(body or {}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
