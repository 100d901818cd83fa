"""Children of the engine: whole process groups with a time limit, and orphans of dead engines.

Each child has an environment variable that names its engine; all its descendants inherit it. So no
file is needed to find the orphans of a killed engine: they are the processes whose engine no longer
runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import psutil

from hms_pipeline.system.processes import alive, birth

log = logging.getLogger(__name__)

MARK = "HMS_ENGINE"  # "<pid> <birth> <root>" of the engine that started a process
GRACE_S = 5.0
ANSWER_S = 300.0  # a server answers an order between two imports


def mark(root: Path) -> dict[str, str]:
    """Variable that children of this process get, where ``root`` is the repository."""
    return {MARK: f"{os.getpid()} {birth(os.getpid())} {root.resolve()}"}


def orphans(root: Path) -> list[psutil.Process]:
    """Processes that an engine of this repository started which is no more."""
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(MARK)
        except (psutil.Error, OSError):
            continue
        if not value:
            continue
        pid, born, where = value.split(" ", 2)
        if where == str(root.resolve()) and not alive(int(pid), born):
            found.append(process)
    return found


def end_orphans(root: Path) -> list[str]:
    """End all orphans of this repository.

    Returns
    -------
    list of str
        What was ended: pid and command.
    """
    ended = []
    for _ in range(10):  # a process may have started another meanwhile
        left = orphans(root)
        if not left:
            break
        for process in left:
            try:
                ended.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=GRACE_S)
    return ended


def end_group(group: int, grace_s: float = GRACE_S) -> None:
    """End a process group: ask, wait, then kill what is left."""
    try:
        os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            if not _group_lives(group):
                return
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _group_lives(group: int) -> bool:
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.Error):
            continue
    return False


class Fork:
    """A process that a server forked."""

    def __init__(self, pid: int, stdout: TextIO, status: TextIO) -> None:
        self.pid, self.stdout, self._status = pid, stdout, status

    def wait(self) -> int:
        """The exit code; a process that was killed says none."""
        if not self._status.closed:
            with self._status:
                self._code = int(self._status.read() or -signal.SIGKILL)
        return self._code


class Server:
    """A process that forks itself for every order; see ``flows.dvc_process.serve``."""

    def __init__(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._orders, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=dict(env), stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def fork(self, order: str) -> Fork:
        """Let it carry out an order.

        Raises
        ------
        OSError
            It is no more, or does not answer.
        """
        (output, its_output), (status, its_status) = os.pipe(), os.pipe()
        with contextlib.ExitStack() as opened:
            stdout = opened.enter_context(open(output, encoding="utf-8", errors="replace"))
            said = opened.enter_context(open(status, encoding="utf-8"))
            try:
                socket.send_fds(self._orders, [order.encode()], [its_output, its_status])
            finally:
                os.close(its_output)
                os.close(its_status)
            answered = select.select([said], [], [], ANSWER_S)[0]
            pid = said.readline() if answered else ""
            if not pid:
                raise ConnectionError("The process that forks itself for stages does not answer.")
            opened.pop_all()
        return Fork(int(pid), stdout, said)

    def close(self) -> None:
        """End it; what it forked goes on."""
        self._orders.close()
        end_group(self.process.pid)
        self.process.wait()


class Children:
    """What the server of one engine forks; thread-safe. At the end of ``with`` the server ends.

    Parameters
    ----------
    command : sequence of str
        The server's.
    cwd : Path
        Where it runs.
    env : mapping of str to str
        All its variables.
    """

    def __init__(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._start = partial(Server, command, cwd, env)
        self._groups: set[int] = set()
        self._server: Server | None = None
        self._lock = threading.Lock()
        self.stopping = False

    def run(
        self, order: str, *, time_limit_s: float, line: Callable[[str], None]
    ) -> tuple[int, bool]:
        """Let a fork carry out an order and hand over its output line by line.

        Returns
        -------
        code : int
            Exit code.
        late : bool
            Whether it was ended because of the time limit.
        """
        with self._lock:
            if self.stopping:
                return -signal.SIGTERM, False
            try:
                child = self._fork(order)
            except OSError:
                if self.stopping:
                    return -signal.SIGTERM, False
                raise
            self._groups.add(child.pid)
        late = threading.Event()

        def expire() -> None:
            late.set()
            end_group(child.pid)

        timer = threading.Timer(time_limit_s, expire)
        timer.daemon = True
        timer.start()
        try:
            _hand_over(child, line)
            return child.wait(), late.is_set()
        finally:
            timer.cancel()
            self._end(child)

    def serve(self) -> None:
        """Start the server before ``run`` gives it an order."""
        with self._lock:
            if not self.stopping and self._server is None:
                self._server = self._start()

    def _fork(self, order: str) -> Fork:
        """Give an order to the server, or where that was killed to a new one."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                return self._server.fork(order)
            self._server.close()
        if self.stopping:
            raise ConnectionError("The run is being ended.")
        self._server = self._start()
        return self._server.fork(order)

    def _end(self, child: Fork) -> None:
        end_group(child.pid)
        child.wait()
        self._groups.discard(child.pid)  # without the lock: an order may wait for its server

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def stop(self) -> None:
        """End every child and refuse new ones."""
        self.stopping = True
        if (server := self._server) is not None:
            end_group(server.process.pid)  # before the lock: an order may wait for it
        with self._lock:
            groups = list(self._groups)
        enders = [threading.Thread(target=end_group, args=(group,)) for group in groups]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()


def _hand_over(child: Fork, line: Callable[[str], None]) -> None:
    """Read until the child itself ends, even if a descendant keeps the pipe open."""

    def read() -> None:
        with child.stdout:
            for text in child.stdout:
                if text.strip():
                    line(text.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    child.wait()
    reader.join(timeout=0.5)
    if reader.is_alive():
        end_group(child.pid)
        reader.join(timeout=GRACE_S)
