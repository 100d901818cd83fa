"""DVC's command line, which writes its files whole or not at all: ``python -m flows.dvc_process``.

This module holds all that is private to DVC: the functions by which it writes files and runs a
stage's command, and the words of its log, from which alone one learns what became of a stage. All
are the pinned release's.

``python -m flows.dvc_process serve MODULE...`` loads DVC and the libraries that stages import,
once, and forks itself for each stage: Python's start and imports take half the time of a short one.
The project's own code is loaded by the fork: it is the code that lies there when the stage begins.

DVC opens dvc.lock for writing, which empties it, and writes entry by entry for half a second. A
process killed meanwhile would leave a file that stops somewhere, for itself and for all stages
beside it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import re
import runpy
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from hms_pipeline.system.files import atomic

COMMAND = (sys.executable, "-m", "flows.dvc_process")
SERVE = "serve"
_OF_DVC = ("networkx", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.stage.run")
_OF_STAGES = (  # in the order in which a whole run needs them, in small pieces: orders wait for one
    "typer.rich_utils",
    "pandas",
    "pyarrow.parquet",
    "scipy.signal",
    "great_expectations",
    "great_expectations.expectations",
    "torch",
    "torch._dynamo",
    "timm",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "scipy.optimize",
    "scipy.stats",
    "matplotlib.figure",
    "mlflow.pyfunc",
)
_ORDER_BYTES = 1 << 20
_STAGE = re.compile(r"python -m hms_pipeline((?: [\w.-]+)*)")  # a command that a fork can run
RAN, RESTORED, UP_TO_DATE = "Completed", "Restored", "Up to date"
OUTPUTS_ALONE = re.compile(r"changed outs: [^;]*")  # a reason of DVC's that names nothing else
EXIT = re.compile(r"exited with (\d+)")
ADVICE = re.compile(  # what DVC tells a person at a terminal after every stage
    r"To track the changes|\s+git add|To enable auto|\s+dvc config core.autost|Use `dvc push`"
)
_VERDICTS = (
    (r"Running stage '{}':", (RAN, "Ran.")),
    (r"Verifying data sources in stage: '{}'", (RAN, "Its data were hashed anew.")),
    (
        r"(Stage )?'{}' didn't change, skipping",
        (UP_TO_DATE, "DVC found nothing changed that it reads."),
    ),
    (
        r"Stage '{}' is cached - skipping run",
        (RESTORED, "Outputs of an earlier run with these inputs were restored."),
    ),
)


def verdict_of(stage: str, line: str) -> tuple[str, str] | None:
    """Read a line of DVC's log: what became of a stage, and a sentence; None if it says neither."""
    for words, verdict in _VERDICTS:
        if re.match(words.format(re.escape(stage)), line):
            return verdict
    return None


def repro(stage: str, force: bool = False) -> list[str]:
    """DVC's arguments that run one stage, if it is out of date or forced."""
    return ["--wait-for-lock", "repro", "--single-item", *["--force"] * force, stage]


def server(ours: bool) -> tuple[str, ...]:
    """The command of a server; for this project's stages it loads their libraries."""
    return (*COMMAND, SERVE, *(_OF_STAGES if ours else ()))


def order_of(stage: str, force: bool, env: Mapping[str, str]) -> str:
    """What a server is told to run ``repro`` of a stage, with variables beside those it has."""
    return json.dumps({"arguments": repro(stage, force), "env": dict(env)})


def order_to_train(command: Sequence[str], env: Mapping[str, str]) -> str:
    """What a server is told to be ``python -m hms_pipeline ...``, without DVC."""
    return json.dumps({"command": list(command[3:]), "env": dict(env)})


def serve(modules: Sequence[str]) -> int:
    """Load DVC and ``modules``, and let a fork of this process carry out each order.

    The standard input is a socket. An order comes on it with the descriptors of two pipes: one for
    what the fork prints, and one on which it first says its pid and at its end its exit code. This
    process itself runs nothing, so that every fork begins as the first one did.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for forks here
    gc.disable()
    waiting = deque([*_OF_DVC, *modules])
    with socket.socket(fileno=sys.stdin.fileno()) as orders:
        while True:
            if waiting and not select.select([orders], [], [], 0)[0]:
                with suppress(Exception):  # the stage that needs it says what is missing
                    import_module(waiting.popleft())
                continue
            order, pipes, _, _ = socket.recv_fds(orders, _ORDER_BYTES, 2)
            if not order:  # the engine has ended
                return 0
            gc.freeze()  # a collection of the fork's would copy the pages of all that is loaded
            if not os.fork():
                break
            for pipe in pipes:
                os.close(pipe)
    return _carry_out(json.loads(order), *pipes)


def _carry_out(order: Mapping[str, Any], output: int, status: int) -> int:
    """Be a process like a new one: in its own session, with its own output and variables."""
    gc.enable()
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
        os.dup2(source, target)
        os.set_inheritable(target, True)
    os.close(output)
    sys.stdout, sys.stderr = (  # those of the server remember that it could seek in its output
        os.fdopen(target, "w", buffering=1, encoding="utf-8", closefd=False) for target in (1, 2)
    )
    os.environ.update(order["env"])
    os.write(status, f"{os.getpid()}\n".encode())
    reader, writer = os.pipe()
    stage = os.fork()
    if not stage:
        os.close(status)
        os.close(writer)
        return _run_stage(reader)
    os.close(reader)
    if "command" in order:
        code = _let_run(stage, writer, order["command"], os.environ)
    else:
        _run_stages_by(stage, writer)
        code = _dvc(order["arguments"])
    os.write(status, str(code).encode())
    return code


def _run_stage(reader: int) -> int:
    """Wait for a command, which the parent gives, and be ``python -m hms_pipeline``."""
    with open(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    if not text:  # the stage is up to date, or no stage of this project
        os._exit(0)
    given = json.loads(text)
    os.environ.clear()
    os.environ.update(given["env"])
    sys.argv[1:] = given["arguments"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "hms_pipeline"]:
        del sys.modules[name]
    runpy.run_module("hms_pipeline", run_name="__main__", alter_sys=True)
    return 0


def _let_run(child: int, writer: int, arguments: list[str], env: Mapping[str, str]) -> int:
    """Tell the fork that waits what it is; wait for its exit code."""
    with open(writer, "w", encoding="utf-8") as pipe:
        json.dump({"arguments": arguments, "env": dict(env)}, pipe)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run_stages_by(child: int, writer: int) -> None:
    """Make DVC, in this process, hand a stage's command to a fork that waits for it."""
    from dvc.stage import run as of_dvc
    from dvc.stage.exceptions import StageCmdFailedError

    plain, waits = of_dvc._run, True

    def run(executable: str | None, cmd: str, **options: Any) -> None:
        nonlocal waits
        words = _STAGE.fullmatch(cmd)
        if not words or not waits or Path(options["cwd"]) != Path.cwd():
            plain(executable, cmd, **options)
            return
        waits = False
        if code := _let_run(child, writer, words[1].split(), options["env"]):
            raise StageCmdFailedError(cmd, code)

    of_dvc._run = run


def install() -> None:
    """Make DVC, in this process, write each file beside its place and rename it when complete.

    DVC has no setting for this. What is replaced is the function that writes YAML.

    Raises
    ------
    AttributeError
        This release of DVC is not the pinned one and lacks that function.
    """
    from dvc.utils.serialize import _common

    plain = _common._dump_data

    def write(
        path: str, data: Any, dumper: Callable[..., Any], fs: Any = None, **options: Any
    ) -> None:
        if fs is not None and fs.protocol != "local":
            plain(path, data, dumper, fs, **options)
            return
        with atomic(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as stream:
            dumper(data, stream, **options)

    _common._dump_data = write


def _dvc(arguments: Sequence[str]) -> int:
    from dvc.cli import main

    install()
    return main(list(arguments))


if __name__ == "__main__":
    atexit.register(gc.freeze)  # Python's last collection walks everything that was imported
    sys.exit(serve(sys.argv[2:]) if sys.argv[1:2] == [SERVE] else _dvc(sys.argv[1:]))
