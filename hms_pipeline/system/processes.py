"""Child processes: how they start, how they end, and the message when one dies."""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError

MEMORY = Path("/proc/meminfo")
BOOT = Path("/proc/sys/kernel/random/boot_id")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def birth(pid: int) -> str:
    """Boot and tick at which a process started: with its pid, what no other process has.

    It stays when the clock is set, as a time of day does not.

    Raises
    ------
    FileNotFoundError, ProcessLookupError
        There is no such process.
    """
    return f"{BOOT.read_text(encoding='utf-8').strip()}:{_stat(pid)[19]}"


def alive(pid: int, born: str) -> bool:
    """Whether the process with this pid and ``birth`` still runs; not another with its pid."""
    try:
        return birth(pid) == born and _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _stat(pid: int) -> list[str]:
    """Linux' state of a process, from the state's letter on (proc_pid_stat(5))."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()


def free_memory() -> int:
    """Bytes that this machine has free, at most those that its container may use in all."""
    entries = dict(line.split(":") for line in MEMORY.read_text(encoding="utf-8").splitlines())
    free = int(entries["MemAvailable"].split()[0]) * 1024
    try:
        return min(free, int(CONTAINER_LIMIT.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no container, or one without a limit, whose value is "max"
        return free


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can (glibc).

    A long run over many recordings of many sizes would keep growing: glibc holds on to what lies
    between blocks that are still in use.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


@contextmanager
def single_threaded_children() -> Iterator[None]:
    """Processes started meanwhile use one thread each: there is one of them per core.

    Otherwise each would start a thread per core for a matrix product, and all would wait.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def process_pool(
    workers: int,
    work: str,
    remains: str,
    *,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Single-threaded processes that end with this one, however it ends.

    They are started afresh, not forked: this process may hold threads and a GPU, and Arrow's
    threads do not survive a fork. Leaving the block early cancels the tasks that have not begun.

    Parameters
    ----------
    workers : int
        At most so many processes.
    work : str
        Begins the message when one dies: what needs them.
    remains : str
        Ends it: what remains of the work.
    initializer : callable or None
        Called first in each process, with ``initargs``.
    initargs : tuple

    Raises
    ------
    InputError
        A process died.
    """
    context = mp.get_context("spawn")
    with single_threaded_children():
        pool = ProcessPoolExecutor(
            workers, context, initializer=_start, initargs=(initializer, initargs)
        )
        try:
            yield pool
        except BrokenProcessPool as err:
            raise InputError(
                f"{work} needs its {workers} worker processes, but one of them died, probably for"
                f" want of memory. Free memory, or give fewer --workers where that is an option;"
                f" {remains}."
            ) from err
        finally:
            pool.shutdown(cancel_futures=True)


def spawned(workers: int) -> ProcessPoolExecutor:
    """Processes started afresh that end with this one, however it ends, and not by Ctrl-C."""
    ignore = (signal.signal, (signal.SIGINT, signal.SIG_IGN))
    return ProcessPoolExecutor(
        workers, mp.get_context("spawn"), initializer=_start, initargs=ignore
    )


@contextmanager
def process_map(
    workers: int | None, most: int, work: str, remains: str
) -> Iterator[Callable[..., Iterator[Any]]]:
    """A ``map(function, items, chunksize=1)`` over processes; results in the order of the items.

    Its work begins when it is called, so that this process may do something else meanwhile.

    Parameters
    ----------
    workers : int or None
        Processes; None: one per core that this process may use. With one there is none besides
        this one.
    most : int
        At most so many: there is no work for more.
    work, remains : str
        See ``process_pool``.

    Raises
    ------
    InputError
        A process died.
    """
    workers = min(workers or cores(), most)
    if workers <= 1:
        yield _map_here
    else:
        with process_pool(workers, work, remains) as pool:
            yield pool.map


def _map_here(
    function: Callable[..., Any], items: Iterable[Any], chunksize: int = 1
) -> Iterator[Any]:
    del chunksize
    return map(function, items)


def _start(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    """A pool's workers outlive a killed parent, waiting for tasks for ever; these do not."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
