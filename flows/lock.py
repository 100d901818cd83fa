"""One retrain at a time: a lock that the system frees, with a record of who holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hms_pipeline.system.errors import InputError
from hms_pipeline.system.locks import locked

RETRAIN = "retrain"


class Held:
    """The lock while held. ``previous`` is the record of a holder that died, if one did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.previous = _read(path)
        self._record: dict[str, Any] = {}

    def record(self, **entries: Any) -> None:
        """Add to what is known about this holder."""
        self._record |= entries
        self._path.write_text(json.dumps(self._record), encoding="utf-8")


@contextmanager
def exclusive(
    path: Path,
    *,
    wait_s: float,
    what: str = RETRAIN,
    waiting: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Held]:
    """Hold the lock file, or wait for it, or refuse.

    Parameters
    ----------
    path : Path
        The lock file.
    wait_s : float
        How long to wait for another holder; 0 refuses at once.
    what : str
        What holds it, for the sentences.
    waiting : callable
        Called with a sentence when waiting begins.

    Raises
    ------
    InputError
        Another process holds it and did not let go in time.
    """
    who = _who(_read(path))
    queue = ", or queue (retrain.when_busy in params.yaml)" if what == RETRAIN else ""
    busy = (
        f"One {what} at a time is possible, but {who} runs in this folder."
        f" Wait for it or cancel it{queue}."
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, 0.0, busy))
        except InputError:
            if not wait_s:
                raise
            waiting(f"Queued: {who} runs in this folder; waiting up to {wait_s:.0f} s for it.")
            stack.enter_context(locked(path, wait_s, busy))
        held = Held(path)
        held.record(pid=os.getpid())
        try:
            yield held
        finally:
            path.write_text("", encoding="utf-8")  # only a killed holder leaves its record


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _who(record: dict[str, Any] | None) -> str:
    if not record:
        return "another one"
    run = f", flow run {record['flow_run']}" if record.get("flow_run") else ""
    return f"another one (process {record.get('pid')}{run})"
