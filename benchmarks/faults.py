"""Servers, networks and machines of a team that fail at random moments: nothing may be lost.

``python -m benchmarks.faults [FAULT ...] [--times 5] [--away 30]`` brings up the servers of
tests/team/requirements.lock and two machines that know only addresses. During each fault one of
them registers and promotes (in some the other as well) and, where the store fails, DVC pushes.
Afterwards what ended is asked for once more. It fails unless that completes, every content is
registered once and verifies, ledger and champion agree, and what was pushed comes back equal.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows import exchange, stack
from hms_pipeline.config import Paths
from hms_pipeline.system.errors import InputError

from . import toy
from .deciding import DEAD_S, Machine
from .postgres_s3 import Servers, free_ports, missing, servers
from .proxy import BUSY, CUT, DEAF, FULL, PASS, SLOW, Proxy
from .team import DVC, environment, run

STORE = {"store-away": CUT, "store-slow": SLOW, "store-full": FULL, "store-busy": BUSY}
NETWORK = {"network-cut": CUT, "answers-lost": DEAF}
FAULTS = ("database", *STORE, *NETWORK, "machine-gone", "clock", "retrain")
BOTH = (*NETWORK, "clock")  # the other machine decides at the same time
MIDDLES = ("validate", "split", "features@spec", "train@v2s-1", "ensemble", "register")
STAGE_S = 3.0  # how long a toy stage takes
OVER_S = DEAD_S + 5  # a network that is away for so long makes a machine lose the lock
ENDS = (signal.SIGINT, signal.SIGQUIT)  # PostgreSQL ends its sessions and stops; as in a crash
CLOCK_OFF_S = 600.0
log = logging.getLogger(__name__)


class Trial:
    """Servers, two machines and a DVC remote, one fault after the other.

    Parameters
    ----------
    backends : Servers
    work : Path
    away_s : float
        How long what is away stays away.
    whole : bool
        Whether machines register ensembles rather than small versions.
    seed : int
        Of the moments; the first retrain's database goes in the middle of the stage of this number.
    """

    def __init__(
        self, backends: Servers, work: Path, away_s: float, whole: bool, seed: int
    ) -> None:
        self.backends, self.work, self.away_s, self.whole = backends, work, away_s, whole
        self.random, self.seed = random.Random(seed), seed
        ports = dict(zip(("prefect", "mlflow"), free_ports(2), strict=True))
        self.store, self.network = Proxy(backends.store_port), Proxy(ports["mlflow"])
        self.store_url = f"http://127.0.0.1:{self.store.port}"
        self.prefect = {"PREFECT_API_URL": f"http://127.0.0.1:{ports['prefect']}/api"}
        self.uri = f"http://127.0.0.1:{ports['mlflow']}"
        self.count, self.on = 0, set[Machine]()
        self.servers = work / "servers"
        self.servers.mkdir()
        os.environ.update(backends.environment, MLFLOW_S3_ENDPOINT_URL=self.store_url)
        os.environ.update({f"HMS_{name.upper()}_PORT": str(port) for name, port in ports.items()})

    def start(self, name: str) -> None:
        """Start Prefect's or MLflow's server."""
        found = stack.Stack.from_environment(self.servers).services()
        (service,) = (service for service in found if service.name == name)
        stack.start(self.servers, service)
        stack.wait_for(self.servers, service)

    def machines(self) -> None:
        """Start both: the first behind a network that can fail."""
        self.start("mlflow")
        self.one = Machine(self.work / "one", f"http://127.0.0.1:{self.network.port}")
        self.two = Machine(self.work / "two", self.uri)
        self.on = {self.one, self.two}
        for k, machine in enumerate((self.two, self.one, self.one)):
            begin = time.monotonic()
            machine.begin(f"undisturbed {k}", whole=self.whole)
            machine.said()
            self.span_s = time.monotonic() - begin  # within which a fault begins

    def end(self) -> None:
        """End what was started."""
        for machine in self.on:
            machine.process.kill()
        stack.down(self.servers)

    @contextmanager
    def happens(self, fault: str) -> Iterator[None]:
        """The fault, from here to the end of the block."""
        if fault in ("database", "retrain"):
            self.backends.stop("postgres", self.random.choice(ENDS))
            yield
            self.backends.start_database()
        elif fault in STORE or fault in NETWORK:
            proxy, modes = (self.store, STORE) if fault in STORE else (self.network, NETWORK)
            proxy.turn(modes[fault])
            yield
            proxy.turn(PASS)
        else:
            yield

    def decision(self, fault: str, k: int) -> Iterator[str]:
        """One fault during a decision; what came of it, a word each."""
        off = CLOCK_OFF_S * (-1) ** k if fault == "clock" else 0.0
        asked = [self.one, *([self.two] if fault in BOTH else [])]
        for machine in asked:
            clock_off_s = off if machine is self.one else 0.0
            machine.begin(f"{fault} {k} {machine.root.name}", clock_off_s, self.whole)
        pushed = self.pushing(fault) if fault in STORE else None
        time.sleep(self.random.uniform(0, self.span_s))
        if fault == "machine-gone":
            asked = [self._replace()]
            yield "killed"
        elif fault != "clock":
            with self.happens(fault):
                time.sleep(max(self.away_s, OVER_S) if fault in NETWORK else self.away_s)
        contents = []
        for machine in asked:
            said = machine.said()
            yield "ended" if "ended" in said else "completed"
            if "ended" in said:
                print(f"  {fault} {k}: {said['ended']}", flush=True)
                if not said["line"]:
                    yield "TRACEBACK"
                machine.begin(machine.note, whole=self.whole)
                said = machine.said()
            contents.append(said.get("content", f"nothing: {said}"))
        yield from self.lost(contents)
        if pushed:
            yield pushed()

    def _replace(self) -> Machine:
        """The first machine dies for good; the other does its work, a new one takes its place."""
        note, uri = self.one.note, self.one.uri
        self.one.end()
        self.two.begin(note, whole=self.whole)
        self.count += 1
        self.one = Machine(self.work / f"one-{self.count}", uri)
        self.on = {self.one, self.two}
        return self.two

    def lost(self, contents: list[str]) -> Iterator[str]:
        """What is not as it should be, as the registry's own checks see it."""
        from hms_pipeline.registry.doctor import WRONG, check_ledger
        from hms_pipeline.registry.versions import Registry

        os.environ["MLFLOW_TRACKING_URI"] = self.uri
        root = self.work / "observer"
        registry = Registry.open(Paths(root / "data", root / "artifacts", root / "params.yaml"))
        wrong = [found.advice for found in check_ledger(registry) if found.state == WRONG]
        lines = [r for r in registry.ledger.read() if r["action"] == "register"]
        for content in contents:
            written = [line for line in lines if line["content_hash"] == content]
            found = [v for v in registry.versions() if v.tags.get("content_hash") == content]
            if len(written) != 1 or len(found) != 1:
                wrong.append(f"{content[:99]}: {len(written)} lines, {len(found)} versions")
            for version in found:
                try:
                    registry.verify(version)
                except InputError as err:
                    wrong.append(str(err))
        for sentence in wrong:
            print(f"  LOST: {sentence}", flush=True)
            yield "LOST"

    def remote(self) -> None:
        """A DVC repository with its remote in the store, and a second one."""
        self.given, self.taken = self.work / "given", self.work / "taken"
        self.given.mkdir()
        run([*DVC, "init", "-q", "--no-scm"], self.given, {})
        bucket = f"s3://{self.backends.bucket}/faults"
        run([*DVC, "remote", "add", "-q", "-d", "it", bucket], self.given, {})
        run([*DVC, "remote", "modify", "it", "endpointurl", self.store_url], self.given, {})
        shutil.copytree(self.given, self.taken)

    def pushing(self, fault: str) -> Callable[[], str]:
        """Begin to push new files; returns what waits for it and compares."""
        files = self.given / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        for n in range(10):
            (files / str(n)).write_bytes(self.random.randbytes(300_000))
        run([*DVC, "add", "-q", "files"], self.given, {})
        problems: list[str] = []

        def push() -> None:
            try:
                exchange.push(self.given, ["files.dvc"], log)
            except InputError as err:
                problems.append(f"{fault}: {err}")

        thread = threading.Thread(target=push)
        thread.start()

        def compare() -> str:
            thread.join()
            for problem in problems:
                print(f"  {problem[:300]}", flush=True)
                exchange.push(self.given, ["files.dvc"], log)
            shutil.copy2(self.given / "files.dvc", self.taken)
            run([*DVC, "pull", "-q", "--force"], self.taken, {})
            taken = self.taken / "files"
            same = all(
                path.read_bytes() == (taken / path.name).read_bytes() for path in files.iterdir()
            )
            return ("push ended" if problems else "pushed") if same else "LOST"

        return compare

    def retrain(self, k: int) -> Iterator[str]:
        """The database goes in the middle of a stage of a toy retrain, each time of another one."""
        root, stage = self.work / "toy", MIDDLES[(self.seed + k) % len(MIDDLES)]
        if not root.exists():
            toy.write(root, folds=2, seconds=STAGE_S)
        (root / "data" / "train.csv").write_text(f"label_id\n{k}\n", encoding="utf-8")
        run([*DVC, "commit", "-q", "-f", "data.dvc"], root, {})
        command = [sys.executable, "-W", "ignore", "-m", "flows.retrain", "--root", str(root)]
        env, said, ran = environment(self.prefect), self.work / f"retrain-{k}.log", _lines(root)
        with said.open("wb") as out:
            process = subprocess.Popen(command, cwd=root, env=env, stdout=out, stderr=out)
        try:
            while process.poll() is None and f"{stage}: " not in said.read_text(encoding="utf-8"):
                time.sleep(0.2)
            time.sleep(self.random.uniform(0, 2 * STAGE_S))
            with self.happens("retrain"):
                time.sleep(self.away_s)
            code = process.wait()
        finally:
            process.kill()
        yield "ended" if code else "completed"
        if code:
            last = said.read_text(encoding="utf-8").rstrip().splitlines()[-1]
            print(f"  retrain {k}, {stage}, gave {code}: {last[:300]}", flush=True)
        again = subprocess.run(
            command, cwd=root, env=env, capture_output=True, text=True, check=False
        )
        if again.returncode:
            print(f"  the next run gave {again.returncode}: {again.stderr[-500:]}", flush=True)
            yield "LOST"
        twice = {name for name, n in Counter(_lines(root)[len(ran) :]).items() if n > 1}
        if twice - {"register"}:  # which runs always
            yield f"again {', '.join(sorted(twice))}"


def _lines(root: Path) -> list[str]:
    """The toy stages that ran to their end, in order."""
    log = root / "runs.log"
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return [line.split()[0] for line in text.splitlines()]


def main() -> int:
    """Read the arguments, run, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--away", type=float, default=30.0, help="seconds")
    parser.add_argument("--whole", action="store_true", help="ensembles, not small versions")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if unknown := sorted(set(args.faults) - set(FAULTS)):
        parser.error(f"unknown {unknown}. Choose of {list(FAULTS)}.")
    if lacking := missing():
        raise SystemExit(f"This benchmark {lacking}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end, too
    logging.basicConfig(level=logging.WARNING, format="  %(message).200s")
    work = Path(tempfile.mkdtemp(prefix="team-faults-"))
    bad = 0
    try:
        with servers() as backends:
            trial = Trial(backends, work, args.away, args.whole, args.seed)
            try:
                bad = measure(trial, args.faults or FAULTS, args.times)
            finally:
                trial.end()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return int(bad > 0)


def measure(trial: Trial, faults: Any, times: int) -> int:
    """Run the faults; how often something was lost."""
    bad = 0
    if "retrain" in faults:
        trial.start("prefect")
    if set(faults) - {"retrain"}:
        trial.remote()
        trial.machines()
    for fault in faults:
        counts: Counter[str] = Counter()
        begin = time.monotonic()
        for k in range(times):
            words = list(trial.retrain(k) if fault == "retrain" else trial.decision(fault, k))
            print(f"  {fault} {k}: {', '.join(words)}", flush=True)
            counts.update(words)
        bad += counts["LOST"] + counts["TRACEBACK"]
        summary = ", ".join(f"{n} {word}" for word, n in counts.items())
        took = time.monotonic() - begin
        print(f"{fault:<14}{times:>3} times, {took:>4.0f} s: {summary}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
