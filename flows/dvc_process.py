"""DVC's command line, which writes its files whole or not at all: ``python -m flows.dvc_process``.

All that is private to DVC stands here: where it writes, and the words of its log, which alone say
what became of a stage. Both are those of the pinned release.

DVC opens dvc.lock for writing, which empties it, and writes entry by entry for half a second. A
process killed meanwhile would leave a file that stops somewhere, for itself and for all stages
beside it.
"""

from __future__ import annotations

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
    """What became of a stage, and a sentence, by one line of DVC's; None: the line says nothing."""
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
    return (*COMMAND, WAIT), json.dumps(order) + "\n"


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
    """Let DVC, in this process, write beside a file's place and move what is complete there.

    It has no setting for this; the place is the one through which it writes YAML.

    Raises
    ------
    AttributeError
        Another release of DVC than the pinned one, without that place.
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

    install()
    sys.exit(main(_wait_for_order() if sys.argv[1:] == [WAIT] else sys.argv[1:]))
