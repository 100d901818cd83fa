"""Leftovers of killed DVC processes: their lock of paths, files that they had not finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import atomic
from hms_pipeline.system.locks import locked

LOCK = "dvc.lock"
WAIT_S = 10.0  # longest wait for a DVC process that holds a lock


def clear_up(root: Path) -> Iterator[str]:
    """Remove what killed DVC processes left; nothing of processes that still run.

    Yields
    ------
    str
        What was done, or could not be done.
    """
    for path in root.glob(f".tmp-*-{LOCK}"):
        if not psutil.pid_exists(int(path.name.split("-")[1])):
            path.unlink(missing_ok=True)
    try:
        if done := repair_rwlock(root):
            yield done
    except (OSError, InputError) as err:
        yield f".dvc/tmp/rwlock was not looked at: {err}"


def repair_rwlock(root: Path) -> str | None:
    """Drop from DVC's lock of paths what no live DVC process holds; delete it where unreadable.

    Returns
    -------
    str or None
        What was done.

    Raises
    ------
    InputError
        A process holds the file for ten seconds.
    """
    path = root / ".dvc" / "tmp" / "rwlock"
    if not path.exists():
        return None
    with locked(path.with_name("rwlock.lock"), WAIT_S):
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            readers, writers = held.get("read", {}), held.get("write", {})
            kept = {
                "read": {name: live for name, infos in readers.items() if (live := _live(infos))},
                "write": {name: info for name, info in writers.items() if _live([info])},
            }
        except FileNotFoundError:
            return None
        except (ValueError, AttributeError, KeyError, TypeError):
            path.unlink()
            return "Deleted .dvc/tmp/rwlock, which a killed process had left half-written."
        if kept == {"read": readers, "write": writers}:
            return None
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")
        return "Removed the entries of dead processes from .dvc/tmp/rwlock."


def _live(infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [info for info in infos if _is_dvc(int(info["pid"]))]


def _is_dvc(pid: int) -> bool:
    """Whether the pid is a DVC process; after a reboot it may be any other program's."""
    try:
        return any("dvc" in Path(part).name for part in psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
