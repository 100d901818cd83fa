"""Leftovers of a killed run: DVC's lock of paths, a half-written dvc.lock."""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from hms_pipeline.config.files import atomic

CONFLICT = b"<<<<<<< "
WAIT_S = 30.0  # for a DVC process that holds a lock


def repairs(root: Path, keep: Path, *, killed: bool) -> Iterator[str]:
    """Repair what an ended DVC left; every stage still to come reads the same files.

    Parameters
    ----------
    root, keep : Path
        The DVC repository and the place of dvc.lock's copy.
    killed : bool
        Whether it was killed: else a dvc.lock that lacks entries is somebody's doing.

    Yields
    ------
    str
        What was done, or what could not be done and why.
    """
    steps: list[tuple[str, Callable[[], str | None]]] = [
        (".dvc/tmp/rwlock", lambda: repair_rwlock(root)),
    ]
    if killed or (is_cut(root) and keep.exists()):
        steps.append(("dvc.lock", lambda: repair_lock(root, keep)))
    for name, step in steps:
        try:
            if done := step():
                yield done
        except OSError as err:
            yield f"{name} was not looked at: {err} The next retrain does it."


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
def _guard(path: Path) -> Iterator[None]:
    """Hold a file lock that DVC itself takes."""
    deadline = time.monotonic() + WAIT_S
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


def keep_lock(root: Path, keep: Path, *, anew: bool = False) -> None:
    """Keep a copy of dvc.lock while it is whole: DVC does not replace it atomically.

    Parameters
    ----------
    root, keep : Path
        The DVC repository and the copy's place.
    anew : bool
        Take the file as it is. Otherwise a file that names fewer stages than the copy is not
        taken: another DVC process may have added its entry to what a killed one had cut.
    """
    content = _read(root / "dvc.lock")
    now, before = _parsed(content), _parsed(_read(keep))
    if now is not None and (anew or before is None or before.keys() <= now.keys()):
        with atomic(keep) as temporary:
            temporary.write_bytes(content)


def repair_lock(root: Path, keep: Path) -> str | None:
    """After a kill, give a dvc.lock that was cut while being written its entries back.

    A cut file may still be valid YAML: then it lacks entries or parts of entries that the copy
    has. What other processes wrote meanwhile stays; what only the killed one knew DVC finds out
    again. A file with a merge's conflict marks is a person's to mend and stays. Other DVC
    processes may be at work: the file is changed while none of them can write it.

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
    if not _lacks(lock, keep):
        return None
    guard = root / ".dvc" / "tmp" / "lock"
    guard.parent.mkdir(parents=True, exist_ok=True)
    with _guard(guard):
        if not _lacks(lock, keep):
            return None
        now, before = _parsed(_read(lock)), _parsed(_read(keep))
        if before is None:
            lock.unlink()
            return "Deleted dvc.lock, which a killed process had left half-written at its start."
        whole = {
            name: entry
            for name, entry in (now or {}).items()
            if not _shorter(entry, before.get(name))
        }
        with atomic(lock) as temporary:
            if whole.items() <= before.items():
                shutil.copyfile(keep, temporary)
            else:
                content = {"schema": "2.0", "stages": {**before, **whole}}
                text = yaml.safe_dump(content, sort_keys=False, width=sys.maxsize)
                temporary.write_text(text)
        return "Gave dvc.lock, which a killed process had cut, its entries back from a copy."


def is_cut(root: Path) -> bool:
    """Whether there is a dvc.lock that no DVC could read."""
    lock = root / "dvc.lock"
    return lock.exists() and _parsed(_read(lock)) is None


def _lacks(lock: Path, keep: Path) -> bool:
    """Whether a dvc.lock is unreadable, by no person's doing, or lacks what the copy has."""
    content = _read(lock)
    now, before = _parsed(content), _parsed(_read(keep)) or {}
    if now is None:
        return bool(before or lock.exists()) and CONFLICT not in content
    return any(name not in now or _shorter(now[name], before[name]) for name in before)


def _read(path: Path) -> bytes:
    """Content of a file; empty where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _parsed(content: bytes) -> dict[str, dict[str, Any]] | None:
    """Stages of a dvc.lock; None where DVC could not read it."""
    try:
        lock = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        lock["schema"]
        stages = lock.get("stages", {})
        for stage in stages.values():
            if not isinstance(stage["cmd"], str | list):
                return None
            for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
                entry["path"]
        return stages
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return None


def _shorter(now: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether an entry may be the beginning of the same command's entry."""
    if before is None or not str(before["cmd"]).startswith(str(now["cmd"])):
        return False
    return any(len(now.get(part) or ()) < len(before[part]) for part in before)
