"""Functions for a ``system.worker.Worker`` that do what readers of odd files do."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from hms_pipeline.data import reading
from hms_pipeline.data.formats.format import UnavailableError
from hms_pipeline.data.reading import identify, read
from hms_pipeline.system.errors import InputError

__all__ = ["identify", "read"]


def process_id() -> int:
    return os.getpid()


def add(a: int, b: int) -> int:
    sys.stdout.write("a reader talks\n")
    return a + b


def refuse(text: str) -> None:
    raise InputError(text)


def not_now(text: str) -> None:
    raise UnavailableError(text)


def raise_anything() -> None:
    raise KeyError("odd")


def die(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


def leave(code: int) -> None:
    os._exit(code)


def hang() -> None:
    time.sleep(600)


def ask_for(n_bytes: int) -> int:
    try:
        return len(bytearray(n_bytes))
    except MemoryError:
        raise InputError("too much") from None


def open_recording(path: Path, rename: dict, limits: dict) -> tuple:
    """As ``reading.open_recording``, but a file's name says what it does to its reader."""
    for word, act in {
        "crash": lambda: die("SIGSEGV"),
        "kill": lambda: die("SIGKILL"),
        "leave": lambda: leave(3),
        "hang": hang,
        "memory": lambda: bytearray(2**40),
        "raise": raise_anything,
    }.items():
        if word in path.name:
            with reading._sentences(path):
                act()
    return reading.open_recording(path, rename, limits)
