"""A process of its own for calls that may crash, hang or ask for too much memory.

It is started by the first call, serves one call after another, and is started anew by the next one
after it has ended. It imports nothing but the module whose functions are called: run as
``python -m hms_pipeline.system.worker MODULE SOCKET BYTES``.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from .errors import InputError
from .processes import THREADS

ROOT = Path(__file__).parents[2]  # the folder that the package lies in


class WorkerError(Exception):
    """The process ended, or did not answer in time; says which."""


class Worker:
    """Calls functions of a module in a process of its own.

    Parameters
    ----------
    module : str
        Dotted name; what it imports, the process imports.
    memory_bytes : int
        What the process may ask for beyond what its imports took; more is a ``MemoryError`` there.
    """

    def __init__(self, module: str, memory_bytes: int) -> None:
        self._command = [sys.executable, "-P", "-m", __name__, module]
        self._memory_bytes = memory_bytes
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None

    def call(self, function: str, *args: Any, timeout_s: float) -> Any:
        """Call a function of the module by its name.

        Parameters
        ----------
        function : str
        *args
            Pickled.
        timeout_s : float
            Then the process is ended.

        Returns
        -------
        Any
            What the function returned.

        Raises
        ------
        InputError
            The function raised it, or one derived from it.
        WorkerError
            The process ended or did not answer.
        """
        connection = self._started()
        try:
            connection.send((function, args))
            if not connection.poll(timeout_s):
                self.close()
                raise WorkerError(f"gave no answer for {timeout_s:.0f} s")
            succeeded, value = connection.recv()
        except (EOFError, OSError):
            code = self._ended()
            how = f"with exit status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            raise WorkerError(f"ended {how}") from None
        if succeeded:
            return value
        raise value

    def close(self) -> None:
        """End the process, if there is one."""
        if self._running is not None:
            self._running[0].kill()
            self._ended()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> Connection:
        if self._running is None:
            ours, theirs = socket.socketpair()
            path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            with theirs:
                process = subprocess.Popen(
                    [*self._command, str(theirs.fileno()), str(self._memory_bytes)],
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # readers print what they like
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._running = process, Connection(ours.detach())
        return self._running[1]

    def _ended(self) -> int:
        """Exit status of the process, negative for a signal; nothing is left of it."""
        if self._running is None:
            return 0
        process, connection = self._running
        self._running = None
        connection.close()
        return process.wait()


def serve(connection: Connection, lookup: Callable[[str], Callable[..., Any]]) -> None:
    """Answer calls until the other side is gone."""
    while True:
        try:
            function, args = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (True, lookup(function)(*args))
        except InputError as err:
            answer = (False, err)
        connection.send_bytes(ForkingPickler.dumps(answer, 5))  # which copies no array first


def _limit_memory(more_bytes: int) -> None:
    try:
        import resource

        used = (
            int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
            * resource.getpagesize()
        )
        resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, used + more_bytes))
    except (ImportError, OSError, ValueError):  # not on this system
        return


def _end_with_parent() -> None:
    """A call that hangs outlives a parent that was killed; this process does not."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _main(module: str, descriptor: str, memory_bytes: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    functions = importlib.import_module(module)
    _limit_memory(int(memory_bytes))
    serve(Connection(int(descriptor)), lambda name: getattr(functions, name))


if __name__ == "__main__":
    _main(*sys.argv[1:])
