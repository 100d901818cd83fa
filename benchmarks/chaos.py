"""Kill stages, flows and workers at random moments; prove that retrains recover.

``python -m benchmarks.chaos [FOLDER] --kills 20`` works on copies of a DVC repository (default:
this project with the tiny recipe on a sample of its own) and prints one line per kill. It fails
unless the run after every kill completes, no finished stage runs again, the artifacts equal an
undisturbed run's, and no process is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import yaml

from flows import stack
from flows.dvc_process import SERVE
from flows.engine import HISTORY
from flows.environment import prepare, run_folder
from flows.processes import MARK
from hms_pipeline.config import Paths
from hms_pipeline.config.recipes import compose, write_recipe

from .toy import postpone

PROJECT = Path(__file__).resolve().parents[1]
DERIVED = {"artifacts", "mlruns", "reports", ".run", ".venv", "dvc.lock", ".dvc/cache", ".dvc/tmp"}
STAGE, FLOW, WORKER = "stage", "flow", "worker"


def copy_repository(source: Path, target: Path, recipe: str | None) -> Path:
    """Copy a repository without anything derived; with a recipe, on that recipe's sample."""
    left_out = {str(source / name) for name in (*DERIVED, *(["data"] if recipe else []))}

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {n for n in names if n == "__pycache__" or str(Path(folder) / n) in left_out}

    shutil.copytree(source, target, ignore=ignored, symlinks=True)
    if (target / "prefect.yaml").exists():
        postpone(target)
    if recipe:
        write_recipe(target / "params.yaml", compose(target / "recipes", recipe))
        (target / "mlruns").mkdir()
        _run(["hms", "sample", "--out", "data"], target)
        _run(["dvc", "commit", "--quiet", "--force", "data.dvc"], target)
    return target


def _run(command: list[str], cwd: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, check=True)


def outputs(root: Path) -> dict[str, str]:
    """Hash of every cached output that dvc.lock records; none where it was cut."""
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))
    except yaml.YAMLError:
        lock = None
    if not lock:
        return {}
    settings = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {
        out["path"]: out["md5"]
        for name, stage in lock["stages"].items()
        if not settings[name.partition("@")[0]].get("always_changed")
        for out in stage.get("outs", ())
    }


def ran(root: Path) -> list[str]:
    """Stages whose command ran to its end, once for every time."""
    path = run_folder(root) / HISTORY
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    stages = [r["stage"] for r in records if r["state"] == "Completed"]
    return [stage for stage in stages if " fold" not in stage]  # of a batch


def trained(root: Path) -> list[str]:
    """Folds whose training MLflow calls finished, once for every time."""
    if not (root / "mlruns" / "mlflow.db").exists():
        return []
    from hms_pipeline.tracking.store import experiment_id, open_client

    paths = Paths(root / "data", root / "artifacts", root / "params.yaml")
    client = open_client(paths)
    runs = client.search_runs(
        [experiment_id(client, paths)],
        filter_string="tags.`hms.kind` = 'fold' and attributes.status = 'FINISHED'",
    )
    return [run.info.run_name for run in runs if run.data.tags.get("hms.how") != "restored"]


def marked(root: Path) -> list[psutil.Process]:
    """Living processes that any engine of this repository started."""
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(MARK, "")
            if value.endswith(f" {root}") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def at_work(root: Path) -> list[psutil.Process]:
    """Those of ``marked`` that run a stage: all but the server that forks itself for them."""
    return [p for p in marked(root) if SERVE not in p.cmdline() or SERVE in p.parent().cmdline()]


class Chaos:
    """One repository under fire, with a stack of its own."""

    def __init__(self, root: Path, wanted: dict[str, str], seconds: float, seed: int) -> None:
        self.root, self.wanted, self.seconds = root, wanted, seconds
        self.random = random.Random(seed)
        self.failures: list[str] = []

    def kill(self, target: str) -> None:
        """Start a run, kill something in it, run again to the end, check."""
        if not self.unfinished():
            self.reset()
        before = len(self.failures)
        moment = self.random.uniform(0.1, 1.0) * self.seconds
        runner = self.start_by_worker() if target == WORKER else self.start()
        hit = self.strike(target, moment, runner)
        if target == STAGE and runner.wait():
            self.failures.append(f"a killed {target} ended its run")
        runner.wait()
        if target == WORKER:
            worker = stack.Stack.from_environment(self.root).services()[-1]
            stack.start(self.root, worker)
        code = self.start().wait()
        if code:
            self.failures.append(f"the run after a killed {target} ended with {code}")
        self.check()
        broken = "; ".join(self.failures[before:])
        print(f"{target:<7} at {moment:5.1f} s: {hit}. {broken or 'Recovered.'}", flush=True)

    def start(self) -> subprocess.Popen:
        """A retrain as a process of its own."""
        with (self.root / ".run" / "chaos.log").open("ab") as log:
            command = [sys.executable, "-m", "flows.retrain", "--root", str(self.root)]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def start_by_worker(self) -> subprocess.Popen:
        """A retrain in the worker's hands."""
        command = [sys.executable, "-m", "prefect", "deployment", "run", "retrain/nightly"]
        subprocess.run(command, cwd=self.root, check=True, capture_output=True)
        return subprocess.Popen(["true"])

    def strike(self, target: str, moment: float, runner: subprocess.Popen) -> str:
        """Wait for the moment and kill -9; returns what was hit."""
        begin = time.monotonic()
        while time.monotonic() - begin < 60 and target != FLOW and not at_work(self.root):
            time.sleep(0.1)
        time.sleep(moment)
        if target == WORKER:
            pid = stack.running(self.root, "worker")
            if pid is None:
                self.failures.append("the worker had ended by itself")
                return "nothing"
            victim = psutil.Process(pid)
        elif target == FLOW:
            victim = psutil.Process(runner.pid)
        else:
            children = at_work(self.root)
            if not children:
                return "nothing ran any more"
            victim = self.random.choice(children)
        try:
            what = " ".join(victim.cmdline()[-3:])
            victim.kill()
            return what
        except psutil.NoSuchProcess:
            return "it had just ended"

    def unfinished(self) -> bool:
        """Whether there is anything left to disturb."""
        return not (self.root / "dvc.lock").exists() or outputs(self.root) != self.wanted

    def reset(self) -> None:
        """Back to a repository in which nothing has run."""
        shutil.rmtree(self.root / "artifacts", ignore_errors=True)
        for name in ("cache", "tmp"):
            shutil.rmtree(self.root / ".dvc" / name, ignore_errors=True)
        (self.root / "dvc.lock").unlink(missing_ok=True)
        (run_folder(self.root) / "dvc.lock").unlink(missing_ok=True)
        (run_folder(self.root) / HISTORY).unlink(missing_ok=True)
        for path in (self.root / "mlruns").glob("*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _run([sys.executable, "-m", "dvc", "commit", "--quiet", "--force", "data.dvc"], self.root)

    def check(self) -> None:
        """After a completed run: same artifacts, nothing run twice, nobody left."""
        if outputs(self.root) != self.wanted:
            self.failures.append("artifacts differ from the undisturbed run's")
        counts = ran(self.root)
        settings = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        for name in sorted(set(counts)):
            always = settings.get(name.partition("@")[0], {}).get("always_changed")
            if counts.count(name) > 1 and not always:
                self.failures.append(f"{name} ran {counts.count(name)} times")
        twice = {name: n for name, n in Counter(trained(self.root)).items() if n > 1}
        if twice:
            self.failures.append(f"finished folds were trained again: {twice}")
        if left := marked(self.root):
            self.failures.append(f"left behind: {[' '.join(p.cmdline()) for p in left]}")


def undisturbed(root: Path) -> tuple[dict[str, str], float]:
    """Outputs and seconds of a run that nobody disturbs."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "flows.retrain", "--root", str(root)]
    with (root / ".run" / "chaos.log").open("ab") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    return outputs(root), time.monotonic() - begin


def main() -> int:
    """Read the arguments, run, print; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a DVC repository")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", default=[STAGE, FLOW, WORKER])
    parser.add_argument("--keep", action="store_true", help="keep the copies")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="chaos-")).resolve()
    print(f"Working in {work}", flush=True)
    recipe = None if args.folder else "tiny"
    roots = [copy_repository(args.folder or PROJECT, work / n, recipe) for n in ("chaos", "calm")]
    for root in roots:
        run_folder(root).mkdir()
    prepare(roots[0])
    # The code under test is the copy's, whatever becomes of this folder meanwhile.
    os.environ["PYTHONPATH"] = str(roots[0] if recipe else PROJECT)
    try:
        os.environ.update(stack.up(roots[0]).client_environment())
        wanted, seconds = undisturbed(roots[1])
        print(f"Undisturbed: {len(wanted)} outputs in {seconds:.1f} s", flush=True)
        chaos = Chaos(roots[0], wanted, seconds, args.seed)
        order = [args.targets[k % len(args.targets)] for k in range(args.kills)]
        chaos.random.shuffle(order)
        for target in order:
            chaos.kill(target)
    finally:
        stack.down(roots[0])
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)
    print("\n".join(chaos.failures) or f"{args.kills} kills: every promise held.")
    return 1 if chaos.failures else 0


if __name__ == "__main__":
    sys.exit(main())
