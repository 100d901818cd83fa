"""DVC's command line, which writes its files whole or not at all: ``python -m flows.dvc_process``.

This module holds all that is private to DVC: the function by which it writes files, and the words
of its log, from which alone one learns what became of a stage. Both are the pinned release's.

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
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hms_pipeline.system.files import atomic

COMMAND = (sys.executable, "-m", "flows.dvc_process")
WAIT = "wait-for-order"
AHEAD = (*COMMAND, WAIT)  # can be started before it is known what for
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


def on_order(stage: str, force: bool, env: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """As ``repro``: a command that can be started ahead, and the order that it waits for.

    The variables come with the order, beside those that the process has.
    """
    order = {"arguments": repro(stage, force), "env": dict(env)}
    return AHEAD, json.dumps(order) + "\n"


def _wait_for_order() -> list[str]:
    """Load what every stage needs, then wait. Without an order there is nothing to do."""
    for name in ("networkx", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.stage.run"):
        import_module(name)
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    given = json.loads(line)
    os.environ.update(given["env"])
    return given["arguments"]


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


if __name__ == "__main__":
    from dvc.cli import main

    atexit.register(gc.freeze)  # Python's last collection walks everything that was imported
    install()
    sys.exit(main(_wait_for_order() if sys.argv[1:] == [WAIT] else sys.argv[1:]))
