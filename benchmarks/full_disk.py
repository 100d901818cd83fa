"""Every command that writes, on a disk that is full or read-only, and killed in the middle.

    python -m benchmarks.full_disk --work /tmp/full-disk     # root: mounts a small tmpfs there

A tiny project is built command by command. Each command runs once undisturbed. Then the files of
before are put back and it meets a disk with no space, with a little, and one that is read-only:
it has to end in one line that names a file and exit code 1 (or succeed), and leave every file
that was there as it was. At last it is killed at several moments, each time on the files of
before. After the bad disks and after every kill it has to succeed when it is run again, with the
bytes of the undisturbed run and nothing left over. The flows `score` and `drift` have no line to
print; the rest holds for them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
from edfio import Edf, EdfSignal

from hms_pipeline.cli.tables import END, START
from hms_pipeline.schema import EEG_COLUMNS

ROOT = Path(__file__).parents[1]
MB = 2**20
SIZE_MB = 512
FREE = (0, 16 * 1024, 256 * 1024)  # bytes left on the disk
NOISE = re.compile(r"WARNING|INFO|.*: \d+/\d+$")  # logs and progress
KILLS = (0.5, 0.75, 0.95)  # of the command's CPU time, which other work does not stretch
# A database, an append-only ledger and locks change while a command fails; all are checked by use.
LIVE = (
    "mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "ledger.jsonl", "ledger-student.jsonl",
)  # fmt: skip

# Hold run ids, times and a latency, or what a run left to go on with.
OTHERS = re.compile(r"^mlruns/|^artifacts/registration.json|(^|/)\.")
# Say that it is done, where a bad disk or a kill came too late.
ONCE = ("promote", "rollback", "sample", "import")

COMMANDS = (
    "recipe tiny", "sample --out data", "import recordings labels.csv --out own", "keys",
    "validate", "split", "features spec_multi", "features bipolar", "train v2s-spec",
    "train eegnet", "ensemble", "student", "register", "promote 2 --reason night",
    "rollback --reason night", "score data --out scores.csv",
    "score recordings --out a.csv --report pages --annotations marks",
    "submission data --out sub.csv", "export OUT.zip", "results --readme table.md",
    "student --starter pack", "flow score", "flow drift", "gc --keep 1",
)  # fmt: skip
FLOW = "from flows.{0} import {0}; raise SystemExit(not {0}(return_state=True).is_completed())"


def kill_after(process: subprocess.Popen, cpu_s: float) -> None:
    """Kill a process and all that it started once they have used so much CPU time."""
    family = psutil.Process(process.pid)
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):  # a child ended just now
            spent = [sum(p.cpu_times()[:4]) for p in (family, *family.children(recursive=True))]
            if sum(spent) >= cpu_s:
                os.killpg(process.pid, 9)
                return
        time.sleep(0.02)


def _spent_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Disk:
    """A small file system with a project on it."""

    def __init__(self, place: Path) -> None:
        self.place, self.ballast, self.kept = place, place / "ballast", place.with_name("kept")
        self.findings: list[str] = []
        self.moments = self.killed = 0

    def hms(self, command: str, kill_s: float | None = None) -> tuple[int, str, float]:
        """Exit code, standard error and CPU seconds of a command; killed after so many."""
        start = _spent_by_children()
        flow = command.startswith("flow") and ["-c", FLOW.format(command.split()[1])]
        elsewhere = str(self.place.with_name("prefect"))
        with subprocess.Popen(
            [sys.executable, *(flow or ["-m", "hms_pipeline", *command.split()])], cwd=self.place,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PREFECT_HOME": elsewhere},
        ) as process:  # fmt: skip
            if kill_s is not None:
                kill_after(process, kill_s)
            _, said = process.communicate(timeout=900)
        return process.returncode, said, _spent_by_children() - start

    def build(self, commands: Sequence[str]) -> None:
        """Run commands, and keep what they made."""
        shutil.copytree(ROOT / "recipes", self.place / "recipes")
        for command in commands:
            self.prepare(command)
            self.just_run(command)
        self.keep()

    def prepare(self, command: str) -> None:
        """What a command needs that none before it has made."""
        if command.startswith("import"):
            rng = np.random.default_rng(1)
            signals = [
                EdfSignal(rng.normal(0, 30, 660 * 200), 200, label=name, physical_dimension="uV")
                for name in EEG_COLUMNS
            ]
            (self.place / "recordings").mkdir(exist_ok=True)
            Edf(signals).write(self.place / "recordings" / "a.edf")
            labels = "file,start_s,class,reader,patient\na.edf,325,lpd,ann,P01\n"
            (self.place / "labels.csv").write_text(labels, encoding="utf-8")
        elif command.startswith("promote"):  # a second version: one that takes fewer rows
            params = self.place / "params.yaml"
            text = params.read_text(encoding="utf-8")
            params.write_text(text.replace("max_rows: 64", "max_rows: 32"), encoding="utf-8")
            self.just_run("keys")
            self.just_run("register")
            params.write_text(text, encoding="utf-8")
        elif command.startswith("results"):
            (self.place / "table.md").write_text(f"{START}\n{END}\n", encoding="utf-8")
        elif command == "flow score":
            (self.place / "inbox").mkdir(exist_ok=True)
            os.utime(shutil.copy(self.place / "recordings" / "a.edf", self.place / "inbox"), (0, 0))

    def just_run(self, command: str) -> tuple[int, str, float]:
        """Run a command that has to succeed."""
        code, said, seconds = self.hms(command)
        if code:
            raise RuntimeError(f"hms {command} gave {code}: {said[-600:]}")
        return code, said, seconds

    def files(self) -> dict[str, str]:
        """Every file but the live ones, with its hash."""
        return {
            path.relative_to(self.place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.place.rglob("*")
            if path.is_file() and path != self.ballast and path.name not in LIVE
            and path.suffix != ".lock"
        }  # fmt: skip

    @contextmanager
    def filled(self, free: int) -> Iterator[None]:
        """Leave so many bytes."""
        room = shutil.disk_usage(self.place).free - free
        with self.ballast.open("wb") as stream:
            for _ in range(room // MB):
                stream.write(bytes(MB))
            stream.write(bytes(room % MB))
        try:
            yield
        finally:
            self.ballast.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Allow no writing at all."""
        subprocess.run(["mount", "-o", "remount,ro", self.place], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", self.place], check=True)

    def judge(self, command: str, moment: str, code: int, said: str, before: dict) -> None:
        """Note what a command on a bad disk did that it may not."""
        self.moments += 1
        lines = [line for line in said.splitlines() if not NOISE.match(line)]
        if code not in (0, 1):
            self.find(command, moment, f"exit code {code}: {said.strip()[-300:]}")
        told = len(lines) == 1 and re.match("hms: (?!A file|[^ ]*[.]tmp-)", lines[0])
        if code == 1 and not told and not command.startswith("flow"):
            self.find(command, moment, f"{len(lines)} lines: {said.strip()[-600:]}")
        if code:
            self.compare(command, moment, before)
        print(f"  {moment}: {code} {lines[-1][:150] if lines else ''}", flush=True)

    def compare(self, command: str, moment: str, before: dict) -> None:
        """Note files of before that a command which failed has changed."""
        after = self.files()
        for name, content in before.items():
            if after.get(name) != content:
                self.find(command, moment, f"{name} {'changed' if name in after else 'is gone'}")

    def find(self, command: str, moment: str, what: str) -> None:
        """Note a finding."""
        self.findings.append(f"hms {command}, {moment}: {what}")
        print("FINDING", self.findings[-1], flush=True)

    def keep(self) -> None:
        """Copy the files of now to another disk."""
        shutil.rmtree(self.kept, ignore_errors=True)
        subprocess.run(["cp", "-a", self.place, self.kept], check=True)

    def put_back(self) -> None:
        """Make the files as they were kept."""
        for path in self.place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        subprocess.run(["cp", "-a", f"{self.kept}/.", self.place], check=True)

    def trial(self, command: str) -> None:
        """Run a command undisturbed, on every bad disk, and killed at every moment."""
        print(f"hms {command}", flush=True)
        self.keep()
        _, _, seconds = self.just_run(command)
        whole = self.files()
        self.put_back()
        before = self.files()
        for free in FREE:
            with self.filled(free):
                code, said, _ = self.hms(command)
            self.judge(command, f"{free} bytes free", code, said, before)
            if not code:
                break
        before = self.files()
        with self.read_only():
            code, said, _ = self.hms(command)
        self.judge(command, "read-only", code, said, before)
        self.again(command, "after the bad disks", whole)
        for share in KILLS:
            self.put_back()
            code, _, _ = self.hms(command, kill_s=share * seconds)
            self.moments += 1
            self.killed += code < 0
            print(f"  killed after {share * seconds:.1f} s of CPU: {code}", flush=True)
            self.again(command, f"after a kill at {share:.0%}", whole)

    def again(self, command: str, moment: str, whole: dict[str, str]) -> None:
        """Run a command on a good disk: the same bytes, and nothing left over."""
        code, said, _ = self.hms(command)
        if code and not (code == 2 and command.startswith(ONCE)):
            self.find(command, moment, f"{code}: {said.strip()[-600:]}")
        after = self.files()
        for name in sorted(whole.keys() | after.keys()):
            if not OTHERS.search(name) and whole.get(name) != after.get(name):
                self.find(command, moment, f"{name} is not as without the disturbance")
        left = [path for path in self.place.rglob(".tmp-*") if "mlruns/fetched" not in str(path)]
        if left:
            self.find(command, moment, f"left {left}")


def main() -> int:
    """Run all commands; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="those before just run")
    parser.add_argument("--n", type=int, default=len(COMMANDS), help="how many are tried")
    parser.add_argument("--continued", action="store_true", help="those before ran in --work")
    arguments = parser.parse_args()
    chosen = COMMANDS[arguments.first : arguments.first + arguments.n]
    place = arguments.work.resolve() / "disk"
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "none", place], check=True)
    try:
        disk = Disk(place)
        if arguments.continued:
            disk.put_back()
        else:
            disk.build(COMMANDS[: arguments.first])
        for command in chosen:
            disk.prepare(command)
            disk.trial(command)
        disk.keep()
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    print(
        f"{disk.moments} moments of {len(chosen)} commands, {disk.killed} of them kills,"
        f" {len(disk.findings)} findings"
    )
    print("\n".join(disk.findings))
    return int(bool(disk.findings))


if __name__ == "__main__":
    sys.exit(main())
