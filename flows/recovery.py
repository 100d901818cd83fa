"""Leftovers of a killed run: DVC's lock of paths, a half-written dvc.lock."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from hms_pipeline.config.files import atomic

CONFLICT = b"<<<<<<< "


def repair_rwlock(root: Path) -> str | None:
    """Drop from DVC's lock of paths what no live DVC process holds; delete it where unreadable.

    Returns
    -------
    str or None
        What was done.
    """
    path = root / ".dvc" / "tmp" / "rwlock"
    if not path.exists():
        return None
    with _guard(path.with_name("rwlock.lock")):
        try:
            held = json.loads(path.read_text())
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
            temporary.write_text(json.dumps(kept))
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


@contextmanager
def _guard(path: Path, wait_s: float = 10.0) -> Iterator[None]:
    """Hold a file lock that DVC itself takes."""
    deadline = time.monotonic() + wait_s
    with path.open("a") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} stays locked by another process.") from None
                time.sleep(0.02)
        yield


def keep_lock(root: Path, keep: Path) -> None:
    """Keep a copy of dvc.lock while it is whole: DVC does not replace it atomically."""
    lock = root / "dvc.lock"
    content = lock.read_bytes() if lock.exists() else b""
    if _parsed(content) is not None:
        with atomic(keep) as temporary:
            temporary.write_bytes(content)


def repair_lock(root: Path, keep: Path) -> str | None:
    """After a kill, replace a dvc.lock that was cut while being written by the kept copy.

    A cut file may still be valid YAML: then it lacks entries that the copy has. What the copy
    lacks DVC finds again in its run cache, without running the stages. A file with a merge's
    conflict marks is a person's to mend and stays. Other DVC processes may be at work: the file
    is looked at while none of them can write it.

    Returns
    -------
    str or None
        What was done.

    Raises
    ------
    TimeoutError
        If a DVC process holds the repository for half a minute.
    """
    lock = root / "dvc.lock"
    if not lock.exists() and not keep.exists():
        return None
    guard = root / ".dvc" / "tmp" / "lock"
    guard.parent.mkdir(parents=True, exist_ok=True)
    with _guard(guard, wait_s=30):
        now, before = _stages(lock), _stages(keep)
        if now is not None and _covers(now, before or {}):
            return None
        if lock.exists() and CONFLICT in lock.read_bytes():
            return None
        if before is not None:
            with atomic(lock) as temporary:
                shutil.copyfile(keep, temporary)
            return "Replaced dvc.lock, which a killed process had left half-written, by its copy."
        lock.unlink(missing_ok=True)
        return "Deleted dvc.lock, which a killed process had left half-written."


def is_cut(root: Path) -> bool:
    """Whether there is a dvc.lock that no DVC could read."""
    lock = root / "dvc.lock"
    return lock.exists() and _stages(lock) is None


def _stages(lock: Path) -> dict[str, dict[str, Any]] | None:
    """Entries of a dvc.lock; None where it is missing or not one."""
    try:
        return _parsed(lock.read_bytes())
    except OSError:
        return None


def _parsed(content: bytes) -> dict[str, dict[str, Any]] | None:
    try:
        lock = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        stages = lock["stages"]
        for stage in stages.values():
            for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
                entry["path"], entry["hash"]
        return stages
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return None


def _covers(now: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]]) -> bool:
    """Whether every entry of ``before`` is in ``now`` with as many parts."""
    return all(
        name in now
        and all(len(now[name].get(part) or ()) >= len(before[name][part]) for part in before[name])
        for name in before
    )
