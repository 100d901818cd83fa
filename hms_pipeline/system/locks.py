"""One process at a time: a lock file that the system frees when its holder ends, however."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import InputError

POLL_S = 0.05


@contextmanager
def locked(path: Path, timeout_s: float = 600.0, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file.

    Parameters
    ----------
    path : Path
        Made where it is missing; it stays.
    timeout_s : float
        How long to wait for another holder; 0 refuses at once, -1 waits for ever.
    busy : str, optional
        The sentence of the refusal.

    Raises
    ------
    InputError
        Another process held it all the time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout_s, POLL_S)
    except Timeout:
        raise InputError(
            busy
            or f"{path.name} is needed, but another process has held it for {timeout_s:.0f} s."
            " Wait for that process, or end it."
        ) from None
    try:
        yield
    finally:
        lock.release()
