"""Every command that writes, on a disk that is full or read-only, and killed in the middle.

    python -m benchmarks.full_disk --work /tmp/full-disk     # root: mounts a small tmpfs there

A tiny project is built command by command. Before each command may succeed it meets a disk with no
space, with a little, and one that is read-only, and is killed twice. Each time it has to end in one
line and exit code 1 (or succeed), leave every file that was there as it was, and succeed when it is
run again, with nothing left over from before.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from edfio import Edf, EdfSignal

from hms_pipeline.schema import EEG_COLUMNS

ROOT = Path(__file__).parents[1]
MB = 2**20
SIZE_MB = 512
FREE = (0, 16 * 1024, 256 * 1024)  # bytes left on the disk
NOISE = re.compile(r"WARNING|INFO|.*: \d+/\d+$")  # logs and progress
KILLS = (0.5, 0.85)  # of the command's time
# A database, an append-only ledger and locks change while a command fails; all are checked by use.
LIVE = (
    "mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "ledger.jsonl", "ledger-student.jsonl",
)  # fmt: skip

ONCE = ("promote", "rollback")  # say that it is done, where a bad disk or a kill came too late

COMMANDS = (
    "recipe tiny", "sample --out data", "import recordings labels.csv --out own", "keys",
    "validate", "split", "features spec_multi", "features bipolar", "train v2s-spec",
    "train eegnet", "ensemble", "student", "register", "promote 2 --reason night",
    "rollback --reason night", "score data --out scores.csv", "submission data --out sub.csv",
    "export OUT.zip", "gc --keep 1",
)  # fmt: skip


class Disk:
    """A small file system with a project on it."""

    def __init__(self, place: Path) -> None:
        self.place, self.ballast = place, place / "ballast"
        self.findings: list[str] = []
        self.moments = 0

    def hms(self, command: str, kill_s: float | None = None) -> tuple[int, str, float]:
        """Exit code, standard error and seconds of a command; killed after so long."""
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "hms_pipeline", *command.split()], cwd=self.place, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        ) as process:  # fmt: skip
            try:
                _, said = process.communicate(timeout=kill_s or 900)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                _, said = process.communicate()
        return process.returncode, said, time.perf_counter() - start

    def prepare(self, command: str) -> None:
        """What a command needs that none before it has made."""
        if command.startswith("import"):
            rng = np.random.default_rng(1)
            signals = [
                EdfSignal(rng.normal(0, 30, 660 * 200), 200, label=name, physical_dimension="uV")
                for name in EEG_COLUMNS
            ]
            (self.place / "recordings").mkdir()
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

    def just_run(self, command: str) -> None:
        """Run a command that has to succeed."""
        code, said, _ = self.hms(command)
        if code:
            raise RuntimeError(f"hms {command} gave {code}: {said[-600:]}")

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
        if code == 1 and (len(lines) != 1 or not lines[0].startswith("hms: ")):
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

    def trial(self, command: str) -> None:
        """Run a command at every moment, and at last on a good disk."""
        print(f"hms {command}", flush=True)
        before = self.files()
        for free in FREE:
            with self.filled(free):
                code, said, seconds = self.hms(command)
            self.judge(command, f"{free} bytes free", code, said, before)
            if not code:
                break
        with self.read_only():
            code, said, _ = self.hms(command)
        self.judge(command, "read-only", code, said, self.files())
        for share in KILLS:
            self.hms(command, kill_s=max(1.0, share * seconds))
            self.moments += 1
        code, said, _ = self.hms(command)
        if code and not (code == 2 and command.startswith(ONCE)):
            self.find(command, "on a good disk again", f"{code}: {said.strip()[-600:]}")
        left = [path for path in self.place.rglob(".tmp-*") if "mlruns/fetched" not in str(path)]
        if left:
            self.find(command, "on a good disk again", f"left {left}")


def main() -> int:
    """Run all commands; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="those before just run")
    parser.add_argument("--n", type=int, default=len(COMMANDS), help="how many are tried")
    arguments = parser.parse_args()
    chosen = COMMANDS[arguments.first : arguments.first + arguments.n]
    place = arguments.work.resolve() / "disk"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "none", place], check=True)
    try:
        shutil.copytree(ROOT / "recipes", place / "recipes")
        disk = Disk(place)
        for command in COMMANDS[: arguments.first]:
            disk.prepare(command)
            disk.just_run(command)
        for command in chosen:
            disk.prepare(command)
            disk.trial(command)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    print(f"{disk.moments} moments of {len(chosen)} commands, {len(disk.findings)} findings")
    print("\n".join(disk.findings))
    return int(bool(disk.findings))


if __name__ == "__main__":
    sys.exit(main())
