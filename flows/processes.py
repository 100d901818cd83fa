"""Children of the engine: whole process groups with a time limit, and orphans of dead engines.

Each child has an environment variable that names its engine; all its descendants inherit it. So no
file is needed to find the orphans of a killed engine: they are the processes whose engine no longer
runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from hms_pipeline.system.processes import alive, birth

log = logging.getLogger(__name__)

MARK = "HMS_ENGINE"  # "<pid> <birth> <root>" of the engine that started a process
GRACE_S = 5.0


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


class Children:
    """The running children of one engine; thread-safe."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._ahead: dict[tuple[str, ...], subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self.stopping = False

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        time_limit_s: float,
        line: Callable[[str], None],
        order: str = "",
    ) -> tuple[int, bool]:
        """Run a command in its own session and hand over its output line by line.

        A command that takes an order waits for it on its standard input. Its next process is
        started ahead and loads what it needs while this one works, so that it begins at once.

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
            child = self._ahead.pop(tuple(command), None)
            if child is not None and child.poll() is not None:  # killed while it waited
                self._groups.discard(child.pid)
                child.communicate()  # closes its pipes
                child = None
            child = child or self._start(command, cwd, env)
            if order:
                self._keep_ahead(command, cwd, env)
        late = threading.Event()

        def expire() -> None:
            late.set()
            end_group(child.pid)

        timer = threading.Timer(time_limit_s, expire)
        timer.daemon = True
        timer.start()
        try:
            _give_order(child, order)
            _hand_over(child, line)
            return child.wait(), late.is_set()
        finally:
            timer.cancel()
            self._end(child)

    def start_ahead(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Start a command that waits for its order; ``run`` will take it."""
        with self._lock:
            if not self.stopping:
                self._keep_ahead(command, cwd, env)

    def _keep_ahead(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        with contextlib.suppress(OSError):  # no process to be had; later ones may be
            self._ahead[tuple(command)] = self._start(command, cwd, env)

    def _start(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._groups.add(child.pid)
        return child

    def _end(self, child: subprocess.Popen[str]) -> None:
        end_group(child.pid)
        child.wait()
        with self._lock:
            self._groups.discard(child.pid)

    def dismiss(self) -> None:
        """End what was started ahead."""
        with self._lock:
            ahead, self._ahead = list(self._ahead.values()), {}
        for child in ahead:
            with child:  # closes its pipes
                self._end(child)

    def stop(self) -> None:
        """End every child and refuse new ones."""
        with self._lock:
            self.stopping = True
            groups = list(self._groups)
        enders = [threading.Thread(target=end_group, args=(group,)) for group in groups]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()


def _give_order(child: subprocess.Popen[str], order: str) -> None:
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError), child.stdin:  # its exit code says why
            child.stdin.write(order)


def _hand_over(child: subprocess.Popen[str], line: Callable[[str], None]) -> None:
    """Read until the child itself ends, even if a descendant keeps the pipe open."""
    stream = child.stdout
    if stream is None:
        return

    def read() -> None:
        with stream:
            for text in stream:
                if text.strip():
                    line(text.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    child.wait()
    reader.join(timeout=0.5)
    if reader.is_alive():
        end_group(child.pid)
        reader.join(timeout=GRACE_S)
