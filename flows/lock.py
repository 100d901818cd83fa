"""One retrain at a time: a lock that the kernel frees, with a record of who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hms_pipeline.system.errors import InputError

RETRAIN = "retrain"


class Held:
    """The lock while held. ``previous`` is the record of a holder that died, if one did."""

    def __init__(self, stream: Any, previous: dict[str, Any] | None) -> None:
        self._stream = stream
        self.previous = previous
        self._record: dict[str, Any] = {}

    def record(self, **entries: Any) -> None:
        """Add to what is known about this holder."""
        self._record |= entries
        _write(self._stream, json.dumps(self._record))


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
        Told a sentence when waiting begins.

    Raises
    ------
    InputError
        Another process holds it and did not let go in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    told = False
    with path.open("a+") as stream:
        while not _try(stream):
            who = _who(_read(stream))
            if time.monotonic() >= deadline:
                queue = ", or queue (retrain.when_busy in params.yaml)" if what == RETRAIN else ""
                raise InputError(
                    f"One {what} at a time is possible, but {who} runs in this folder."
                    f" Wait for it or cancel it{queue}."
                )
            if not told:
                waiting(f"Queued: {who} runs in this folder; waiting up to {wait_s:.0f} s for it.")
                told = True
            time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))
        held = Held(stream, _read(stream))
        held.record(pid=os.getpid())
        try:
            yield held
        finally:
            _write(stream, "")  # only a killed holder leaves its record


def _try(stream: Any) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _read(stream: Any) -> dict[str, Any] | None:
    stream.seek(0)
    try:
        return json.loads(stream.read())
    except ValueError:
        return None


def _write(stream: Any, text: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(text)
    stream.flush()


def _who(record: dict[str, Any] | None) -> str:
    if not record:
        return "another one"
    run = f", flow run {record['flow_run']}" if record.get("flow_run") else ""
    return f"another one (process {record.get('pid')}{run})"
