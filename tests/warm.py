"""``dvc`` and ``hms`` in processes that begin with the libraries loaded, for tests that run many.

Each command, and each stage that DVC runs, is a process forked from one that has loaded PyTorch,
MLflow and DVC once. It imports this project's code itself, from the folder in which it is called.
Which libraries a command imports is no question for such a test: the fixture ``tiny_project`` runs
every stage without this. Nor do stages start processes of their own, which would load it all anew:
that these change no byte is tested where they are started.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .forked import forked

STAGE = ["python", "-m", "hms_pipeline"]
LIMIT_S = 300  # a command that hangs fails its test
Call = tuple[Sequence[str], str, Mapping[str, str]]  # words, folder, variables


def run(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess:
    """What ``subprocess.run`` gives for a command that begins with ``dvc`` or ``hms``."""
    with TemporaryDirectory() as kept:
        streams = [Path(kept, name) for name in ("out", "err")]
        process = forked().Process(target=_begin, args=(streams, (words, str(folder), env)))
        process.start()
        process.join(LIMIT_S)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)  # with the stages that it runs
            process.join()
        said = [path.read_text(encoding="utf-8") for path in streams]
    return subprocess.CompletedProcess(words, process.exitcode, *said)


def _begin(streams: Sequence[Path], call: Call) -> None:
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2)
    )
    if call[0][0] == "hms":
        _hms(*call)
    ours, theirs = Pipe()
    if os.fork():
        theirs.close()
        _dvc(ours, *call)
    ours.close()
    _hms(*_order(theirs))


def _enter(words: Sequence[str], folder: str, env: Mapping[str, str]) -> None:
    sys.argv = [*words]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)


def _hms(words: Sequence[str], folder: str, env: Mapping[str, str]) -> None:
    """End as ``python -m hms_pipeline`` does."""
    _enter(words, folder, env)
    sys.path[:0] = [folder, *env["PYTHONPATH"].split(os.pathsep)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "hms_pipeline"]:
        del sys.modules[name]
    os.sched_getaffinity = lambda _: {0}  # one core, so that no pool is started
    runpy.run_module("hms_pipeline", run_name="__main__", alter_sys=True)
    sys.exit()


def _dvc(stages: Connection, words: Sequence[str], folder: str, env: Mapping[str, str]) -> None:
    """End as ``dvc`` does, which lets another process run its stages: it has threads itself."""
    from dvc.cli import main
    from dvc.stage import run as of_dvc
    from dvc.stage.exceptions import StageCmdFailedError

    def run_stage(executable: str | None, cmd: str, **options: Any) -> None:
        words = cmd.split()
        assert words[:3] == STAGE, cmd
        stages.send((["hms", *words[3:]], options["cwd"], options["env"]))
        if code := stages.recv():
            raise StageCmdFailedError(cmd, code)

    of_dvc._run = run_stage
    _enter(words, folder, env)
    sys.exit(main([*words[1:]]))


def _order(calls: Connection) -> Call:
    """Return each call that comes, in a process of its own; end with who sends them."""
    while True:
        try:
            call = calls.recv()
        except EOFError:
            os._exit(0)
        process = os.fork()
        if not process:
            return call
        calls.send(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
