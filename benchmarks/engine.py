"""The engine against plain `dvc repro`: same artifacts, wall time, overhead, nothing to do.

``python -m benchmarks.engine [FOLDER]`` works on copies of a DVC repository (default: a toy graph
of stages that sleep, so that the numbers are the engine's own; ``--recipe tiny`` with the
project's folder: the real graph).
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
from pathlib import Path
from statistics import mean

from flows import stack
from flows.engine import HISTORY
from flows.environment import prepare, run_folder

from . import toy
from .chaos import copy_repository, outputs


def timed(command: list[str], root: Path) -> float:
    """Seconds of a command, which has to succeed; its output goes to a log."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    begin = time.monotonic()
    with (run_folder(root) / "benchmark.log").open("ab") as log:
        subprocess.run(
            command,
            cwd=root,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=log,
            stderr=log,
            check=True,
        )
    return time.monotonic() - begin


def overhead(root: Path) -> float | None:
    """Mean seconds of a stage beside its own command, where the commands log themselves."""
    log = root / "runs.log"
    if not log.exists():
        return None
    own = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        name, begin, end, _ = line.split()
        own.setdefault(name, float(end) - float(begin))
    whole = {}
    for line in (run_folder(root) / HISTORY).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        whole.setdefault(record["stage"], record["seconds"])
    return mean(whole[name] - own[name] for name in own)


def main() -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--recipe", help="recipe to make active in the copies, with its sample")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="engine-")).resolve()
    try:
        measure(args.folder, args.recipe, work)
    finally:
        stack.down(work / "engine")
        shutil.rmtree(work, ignore_errors=True)


def measure(folder: Path | None, recipe: str | None, work: Path) -> None:
    """Run the graph by both, twice by the engine, and print a table."""
    source = folder or work / "toy"
    if folder is None:
        toy.write(source, folds=6, seconds=2.0)
    plain, ours = (copy_repository(source, work / name, recipe) for name in ("plain", "engine"))
    for root in (plain, ours):
        run_folder(root).mkdir(exist_ok=True)
    prepare(ours)
    seconds_plain = timed([sys.executable, "-m", "dvc", "repro"], plain)
    os.environ.update(stack.up(ours).client_environment())
    command = [sys.executable, "-m", "flows.retrain", "--root", str(ours)]
    seconds_ours = timed(command, ours)
    seconds_again = timed(command, ours)
    same = outputs(plain) == outputs(ours)
    extra = overhead(ours)
    print(f"outputs                     {len(outputs(ours))}, {'equal' if same else 'DIFFERENT'}")
    print(f"dvc repro                   {seconds_plain:8.1f} s")
    print(f"engine, start included      {seconds_ours:8.1f} s")
    print(f"ratio                       {seconds_plain / seconds_ours:8.2f}")
    print(f"engine, nothing to do       {seconds_again:8.1f} s   (bound 10 s)")
    if extra is not None:
        print(f"a stage beside its command  {extra:8.2f} s   (bound 2 s)")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
