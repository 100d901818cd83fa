"""The graph's own commands at any size, timed, with what they take of host and GPUs.

    python -m benchmarks.full_size sample validate split --recipe full --work w
    python -m benchmarks.full_size features train --recipe full --work w --folds 0
    python -m benchmarks.full_size ensemble bundle submission --recipe medium --work w

Every step is what a user would type (``hms features mel --device cuda:1``); this script only
starts several at once, spread over the GPUs, and watches. Folds are handed out by the flow's own
``flows.handout``, several of a member to one process; ``--one-fold-a-process`` is the former way,
for comparison, and so is ``HMS_COMPILE=off`` in the environment with ``--again``; ``--checkout``
runs the commands of another checkout. ``--seed`` is the training's. Data lie in ``WORK/data``,
artifacts in ``WORK/<recipe>``, a log of every command in ``WORK/logs``, all numbers in
``WORK/full_size.jsonl``.
Needs the core packages only (validation needs Great Expectations as well).

``--stand-in`` lets the step ``bundle`` go on where only some folds were trained: the others get
copies of one that was, and the equal mean stands for the ensemble. Such a bundle, and the artifacts
it leaves, are good for measuring time and memory, and for nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import pandas as pd
import psutil

from flows.handout import Handout
from hms_pipeline.config import Params, Paths
from hms_pipeline.config.params import write_params
from hms_pipeline.config.recipes import compose
from hms_pipeline.ensemble.blend import Blend
from hms_pipeline.schema import CLASSES
from hms_pipeline.system.compiler import SWITCH
from hms_pipeline.system.files import write_sealed

ROOT = Path(__file__).parents[1]
RATE = re.compile(r"Epochs after the first: ([\d.]+) s, ([\d.]+) windows/s")
KL = re.compile(r"^Fold (\w+), KL by votes: (.*)$", re.MULTILINE)
QUERY = ["nvidia-smi", "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader"]


@dataclass
class Watch:
    """Samples the host's and the GPUs' load once a second, in a thread."""

    memory_gb: float = 0.0  # most private memory of all children together
    gpu: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)  # s, %, GB

    def __enter__(self) -> Watch:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._host)]
        if shutil.which(QUERY[0]):
            self._threads.append(threading.Thread(target=self._devices))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _host(self) -> None:
        me = psutil.Process()
        while not self._end.wait(1.0):
            total = 0
            for child in me.children(recursive=True):
                try:
                    memory = child.memory_info()
                except psutil.Error:
                    continue
                total += memory.rss - memory.shared
            self.memory_gb = max(self.memory_gb, total / 1e9)

    def _devices(self) -> None:
        while not self._end.wait(1.0):
            answer = subprocess.run(
                QUERY, capture_output=True, encoding="utf-8", errors="replace", check=False
            ).stdout
            for line in answer.splitlines():
                index, used, memory = (re.sub(r"[^\d.]", "", part) for part in line.split(","))
                sample = (time.monotonic(), float(used or 0), float(memory or 0) * 2**20 / 1e9)
                self.gpu.setdefault(index, []).append(sample)

    def of_gpu(self, device: str, begin: float, end: float) -> tuple[float, float]:
        """Mean utilisation in percent, and most memory in GB, of a device in a stretch."""
        samples = self.gpu.get(device.partition(":")[2] or "0", []) if device != "cpu" else []
        inside = [(used, memory) for at, used, memory in samples if begin <= at <= end]
        if not inside:
            return float("nan"), float("nan")
        return sum(used for used, _ in inside) / len(inside), max(memory for _, memory in inside)


@dataclass
class Job:
    """One command and what became of it."""

    name: str
    arguments: list[str]
    device: str = "cpu"
    seconds: float = 0.0
    begin: float = field(default=0.0, repr=False)
    end: float = field(default=0.0, repr=False)
    code: int | None = None
    output: str = field(default="", repr=False)


class Bench:
    """One recipe in one folder."""

    def __init__(
        self, recipe: str, work: Path, devices: Sequence[str], slots: int, seed: int, checkout: Path
    ) -> None:
        self.params: Params = compose(ROOT / "recipes", recipe)
        training = self.params.training.model_copy(update={"seed": seed})
        self.params = self.params.model_copy(update={"training": training})
        self.checkout = checkout
        self.work, self.devices, self.slots = work, list(devices), slots
        params = work / f"{recipe}.yaml"
        work.mkdir(parents=True, exist_ok=True)
        write_params(params, self.params)
        self.failed: list[str] = []
        self.paths = Paths(work / "data", work / self.params.recipe, params)
        self.options = [
            "--data", str(self.paths.data), "--artifacts", str(self.paths.artifacts),
            "--params", str(params),
        ]  # fmt: skip
        (work / "logs").mkdir(parents=True, exist_ok=True)

    # ---------------------------------------------------------------- commands
    def run(self, step: str, jobs: Sequence[Job], on_gpu: bool) -> list[Job]:
        """Run commands, a few at once on every device; print and keep the numbers."""
        waiting: SimpleQueue[Job] = SimpleQueue()
        for job in jobs:
            waiting.put(job)
        return self._watch(step, list(jobs), waiting.get_nowait, on_gpu)

    def _watch(
        self, step: str, jobs: list[Job], take: Callable[[], Job], on_gpu: bool
    ) -> list[Job]:
        """Let every slot take jobs until there are none; ``jobs`` may grow meanwhile."""
        devices = self.devices if on_gpu else ["cpu"]
        with Watch() as watch:
            begin = time.monotonic()
            runners = [
                threading.Thread(target=self._serve, args=(device, take, on_gpu))
                for _ in range(self.slots if on_gpu else 1)
                for device in devices
            ]
            for runner in runners:
                runner.start()
            for runner in runners:
                runner.join()
            end = time.monotonic()
        self.failed += [job.name for job in jobs if job.code]
        added = sum(job.seconds for job in jobs)
        print(
            f"{step}: {len(jobs)} commands in {end - begin:.1f} s, {len(runners)} at once on"
            f" {', '.join(devices)}; added up {added:.1f} s, {added / (end - begin):.2f} times as"
            f" long; host memory at most {watch.memory_gb:.1f} GB",
            flush=True,
        )
        for device in devices if devices != ["cpu"] else ():
            used, memory = watch.of_gpu(device, begin, end)
            ends = [watch.of_gpu(device, at, at + 30)[0] for at in (begin, end - 30)]
            print(
                f"  {device}: {used:.0f} % busy in the mean, {ends[0]:.0f} % in the first and"
                f" {ends[1]:.0f} % in the last 30 s, {memory:.1f} GB at most",
                flush=True,
            )
        for job in jobs:
            self._tell(step, job, watch)
        return list(jobs)

    def _serve(self, device: str, take: Callable[[], Job], on_gpu: bool) -> None:
        while True:
            try:
                job = take()
            except Empty:
                return
            job.device = device
            self._call(job, ["--device", device] if on_gpu else [])

    def _call(self, job: Job, more: list[str]) -> None:
        command = [sys.executable, "-m", "hms_pipeline", *self.options, *job.arguments, *more]
        path = [str(self.checkout), os.environ.get("PYTHONPATH")]
        job.begin = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.checkout,  # which `python -m` looks in first
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        job.end = time.monotonic()
        job.seconds, job.code, job.output = job.end - job.begin, done.returncode, done.stdout
        (self.work / "logs" / f"{self.params.recipe}-{job.name}.log").write_text(
            job.output, encoding="utf-8"
        )

    def _tell(self, step: str, job: Job, watch: Watch) -> None:
        used, memory = watch.of_gpu(job.device, job.begin, job.end)
        record = {
            "recipe": self.params.recipe, "step": step, "name": job.name, "device": job.device,
            "seconds": round(job.seconds, 1), "code": job.code, "checkout": self.checkout.name,
            "seed": self.params.training.seed, "compile": os.environ.get(SWITCH, "on"),
            "kl": dict(KL.findall(job.output)),
        }  # fmt: skip
        if job.device != "cpu":
            record |= {"gpu_percent": used, "gpu_gb": memory}
        line = f"  {job.name:16s} {job.seconds:7.1f} s"
        if found := RATE.search(job.output):
            epochs_s, rate = map(float, found.groups())
            busy, _ = watch.of_gpu(job.device, job.end - epochs_s, job.end)
            record |= {"epochs_s": epochs_s, "windows_s": rate, "epochs_gpu_percent": busy}
            line += f"   epochs after the first {epochs_s:6.1f} s, {rate:7.0f} windows/s"
            line += f", GPU {busy:3.0f} %, {memory:5.1f} GB" if self.slots == 1 else ""
        if job.code:
            line += "   FAILED: " + " ".join(job.output.split()[-60:])
        print(
            line, *(f"\n    fold {fold}: KL {kl}" for fold, kl in record["kl"].items()), flush=True
        )
        with (self.work / "full_size.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    # ---------------------------------------------------------------- steps
    def sample(self, args: argparse.Namespace) -> None:
        out = ["--out", str(self.paths.data)]
        out += ["--patients", str(args.patients)] if args.patients else []
        self.run("sample", [Job("sample", ["sample", *out])], on_gpu=False)

    def validate(self, args: argparse.Namespace) -> None:
        self._alone("validate")

    def split(self, args: argparse.Namespace) -> None:
        self._alone("split")

    def features(self, args: argparse.Namespace) -> None:
        chosen = args.members or self.params.members
        views = {view for member in chosen for view in self.params.members[member].views}
        views = sorted(views if args.members else self.params.views)
        jobs = [Job(view, ["features", view, "--ahead"]) for view in views]  # as the graph has it
        self.run("features", jobs, on_gpu=True)
        stores = [self.paths.view(view) for view in views]
        size = sum(path.stat().st_size for store in stores for path in store.glob("*.npy"))
        print(f"  {size / 1e9:.1f} GB of features", flush=True)

    def train(self, args: argparse.Namespace) -> None:
        folds = list(range(self.params.split.n_folds)) if args.folds is None else args.folds
        members = args.members or list(self.params.members)
        more = ["--no-track", *["--again"] * args.again]
        if args.one_fold_a_process:
            jobs = [
                Job(f"{member}-{fold}", ["train", member, str(fold), *more])
                for member in members
                for fold in folds
            ]
            self.run("train", jobs, on_gpu=True)
            return
        handout = Handout(self.slots * len(self.devices), self._fold_seconds())
        lock = threading.Lock()
        for member in members:
            handout.add(member, folds)
        jobs: list[Job] = []

        def take() -> Job:
            with lock:
                batch = handout.take()
                if batch is None:
                    raise Empty
                name = "-".join([batch.stage, *map(str, batch.folds)])
                numbers = [str(fold) for fold in batch.folds]
                jobs.append(Job(name, ["train", batch.stage, *numbers, *more]))
                return jobs[-1]

        self._watch("train", jobs, take, on_gpu=True)

    def _fold_seconds(self) -> dict[str, float]:
        """What a fold of each member took here before, as the flow knows it from its last runs."""
        seconds: dict[str, float] = {}
        if (records := self.work / "full_size.jsonl").exists():
            for record in map(json.loads, records.read_text(encoding="utf-8").splitlines()):
                member, *folds = re.split(r"-(?=\d+(?:-|$))", record["name"])
                if record["step"] == "train" and not record["code"]:
                    seconds[member] = record["seconds"] / len(folds)
        return seconds

    def ensemble(self, args: argparse.Namespace) -> None:
        self._alone("ensemble")

    def bundle(self, args: argparse.Namespace) -> None:
        from hms_pipeline.inference.bundle import check_bundle
        from hms_pipeline.inference.write import write_bundle

        if args.stand_in:
            self._stand_in()
        begin = time.monotonic()
        folder = write_bundle(self.paths, self.params, self._bundle)
        written = time.monotonic()
        check_bundle(folder)
        checked = time.monotonic()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        n = len(list(folder.glob("weights/*/*")))
        print(
            f"bundle: {n} networks, {size / 1e9:.2f} GB, written in {written - begin:.1f} s,"
            f" verified in {checked - written:.1f} s",
            flush=True,
        )

    def submission(self, args: argparse.Namespace) -> None:
        out = self.work / f"{self.params.recipe}.csv"
        arguments = ["submission", str(self.paths.data), "--model", str(self._bundle)]
        job = Job("submission", [*arguments, "--out", str(out)])
        self.run("submission", [job], on_gpu=True)
        if not job.code:
            n = len(out.read_text(encoding="utf-8").splitlines()) - 1
            print(f"  {n} windows, {n / job.seconds:.1f} a second, start and loading included")

    def _alone(self, step: str) -> None:
        """Run a stage that is one command, and show what it says."""
        (job,) = self.run(step, [Job(step, [step])], on_gpu=False)
        print(job.output)

    @property
    def _bundle(self) -> Path:
        return self.work / f"{self.params.recipe}-bundle"

    def _stand_in(self) -> None:
        for member in self.params.members:
            folds = [self.paths.fold(member, k) for k in range(self.params.split.n_folds)]
            trained = next((path for path in folds if (path / "manifest.json").exists()), None)
            if trained is None:
                sys.exit(f"A stand-in needs one fold of {member}, but none is trained. Train one.")
            for path in folds:
                if not (path / "manifest.json").exists():
                    shutil.copytree(trained, path, copy_function=os.link, dirs_exist_ok=True)
        if not self.paths.ensemble.exists():
            self.paths.ensemble.mkdir()
            blend = Blend.equal(sorted(self.params.members))
            write_sealed(self.paths.ensemble / "weights.json", blend.to_dict())
            oof = pd.read_parquet(self.paths.folds, columns=["label_id"])
            oof = oof.assign(**dict.fromkeys(CLASSES, 1 / len(CLASSES)))
            oof.to_parquet(self.paths.ensemble / "oof.parquet", index=False)


STEPS: dict[str, Callable[[Bench, argparse.Namespace], None]] = {
    name: getattr(Bench, name)
    for name in (
        "sample", "validate", "split", "features", "train", "ensemble", "bundle", "submission",
    )
}  # fmt: skip


def main() -> int:
    """Read the arguments and run the steps; 1 where one of them failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="+", choices=list(STEPS), metavar="STEP", help=str([*STEPS]))
    parser.add_argument("--recipe", default="demo", help="its name in recipes/")
    parser.add_argument("--patients", type=int, help="of the sample; default: the recipe's")
    parser.add_argument("--one-fold-a-process", action="store_true", help="the former way")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--devices", nargs="+", default=["cpu"], help="such as cuda:0 cuda:1")
    parser.add_argument("--at-once", type=int, default=1, help="commands on each device")
    parser.add_argument("--folds", type=int, nargs="+", help="default: all of the recipe")
    parser.add_argument("--members", nargs="+", help="default: all of the recipe")
    parser.add_argument("--stand-in", action="store_true", help="copies for folds not trained")
    parser.add_argument("--again", action="store_true", help="train finished folds anew")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose commands are run")
    args = parser.parse_args()
    bench = Bench(
        args.recipe, args.work.resolve(), args.devices, args.at_once, args.seed,
        args.checkout.resolve(),
    )  # fmt: skip
    for step in args.steps:
        STEPS[step](bench, args)
    if bench.failed:
        print(f"Failed: {', '.join(bench.failed)}")
    return int(bool(bench.failed))


if __name__ == "__main__":
    sys.exit(main())
