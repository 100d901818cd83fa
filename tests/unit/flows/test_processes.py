"""Process groups end whole and in time; orphans are told from children."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from flows.processes import MARK, Children, alive, end_orphans, mark, orphans

SLEEP = "import subprocess, sys, time; {} print('up', flush=True); time.sleep(60)"
GRANDCHILD = (
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True);"
)


def run(children: Children, code: str, seconds: float = 30, lines: list | None = None):
    return children.run(
        [sys.executable, "-c", code],
        cwd=Path.cwd(),
        env=dict(os.environ),
        time_limit_s=seconds,
        line=(lines if lines is not None else []).append,
    )


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_output_comes_line_by_line_and_the_code_comes_back():
    lines = []
    code, late = run(Children(), "print('a'); print('b'); raise SystemExit(3)", lines=lines)
    assert (code, late, lines) == (3, False, ["a", "b"])


def test_time_limit_ends_the_whole_group():
    lines = []
    code, late = run(Children(), SLEEP.format(GRANDCHILD), seconds=1.0, lines=lines)
    assert late
    assert code != 0
    assert gone(int(lines[0]))


def test_a_child_that_ends_leaves_no_grandchild():
    lines = []
    code, _ = run(Children(), f"import subprocess, sys; {GRANDCHILD}", lines=lines)
    assert code == 0
    assert gone(int(lines[0]))


def test_stop_ends_children_and_refuses_new_ones():
    children, lines, results = Children(), [], []
    thread = threading.Thread(
        target=lambda: results.append(run(children, SLEEP.format(""), lines=lines))
    )
    thread.start()
    while not lines:
        time.sleep(0.01)
    children.stop()
    thread.join(timeout=10)
    assert results[0][0] != 0
    assert run(children, "print('never')")[0] != 0


def test_reused_pid_is_not_alive():
    me = psutil.Process()
    assert alive(me.pid, me.create_time())
    assert not alive(me.pid, me.create_time() - 60)


@pytest.mark.parametrize("dead", [True, False])
def test_only_processes_of_dead_engines_are_orphans(tmp_path, sleeper, dead):
    variables = mark(tmp_path)
    if dead:
        pid, started, where = variables[MARK].split(" ", 2)
        variables = {MARK: f"{pid} {float(started) - 60:.2f} {where}"}
    process = sleeper(**variables)
    found = [p.pid for p in orphans(tmp_path)]
    assert found == ([process.pid] if dead else [])
    assert orphans(tmp_path / "elsewhere") == []
    ended = end_orphans(tmp_path)
    assert len(ended) == dead
    assert (process.poll() is not None) == dead
