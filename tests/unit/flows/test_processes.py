"""Process groups end whole and in time; orphans are told from children."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from flows.processes import MARK, Children, end_orphans, mark, orphans
from hms_pipeline.system.processes import alive, birth

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
    boot, tick = birth(os.getpid()).split(":")
    assert alive(os.getpid(), f"{boot}:{tick}")
    assert not alive(os.getpid(), f"{boot}:{int(tick) - 1}")
    assert not alive(os.getpid(), f"another-boot:{tick}")


def test_a_zombie_is_not_alive():
    child = subprocess.Popen(["true"])
    born = birth(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert birth(child.pid) == born
    assert not alive(child.pid, born)
    child.wait()
    assert not alive(child.pid, born)


@pytest.mark.parametrize("dead", [True, False])
def test_only_processes_of_dead_engines_are_orphans(tmp_path, sleeper, dead):
    variables = mark(tmp_path)
    if dead:
        pid, born, where = variables[MARK].split(" ", 2)
        variables = {MARK: f"{pid} {born}0 {where}"}
    process = sleeper(**variables)
    found = [p.pid for p in orphans(tmp_path)]
    assert found == ([process.pid] if dead else [])
    assert orphans(tmp_path / "elsewhere") == []
    ended = end_orphans(tmp_path)
    assert len(ended) == dead
    assert (process.poll() is not None) == dead


def test_the_next_process_of_a_command_waits_for_its_order_and_is_ended_with_the_run():
    children, lines = Children(), []
    others = set(psutil.Process().children())  # of tests that ran before in this process
    code = "import os, sys; print(os.getpid(), sys.stdin.readline().strip())"

    def give(order: str) -> None:
        children.run(
            [sys.executable, "-c", code], cwd=Path.cwd(), env=dict(os.environ), time_limit_s=30,
            line=lines.append, order=f"{order}\n",
        )  # fmt: skip

    waiting = []
    for order in "abc":
        before = {child.pid for child in psutil.Process().children()}
        give(order)
        pid, said = lines[-1].split()
        assert said == order
        assert not waiting or int(pid) in waiting
        waiting = [c.pid for c in psutil.Process().children() if c.pid not in before - {int(pid)}]
        assert len(waiting) == 1
    psutil.Process(waiting[0]).kill()  # whatever becomes of it, the next order is carried out
    psutil.Process(waiting[0]).wait()
    give("d")
    assert lines[-1].endswith(" d")
    children.dismiss()
    assert set(psutil.Process().children()) <= others


def test_what_waits_for_an_order_ends_with_a_killed_engine():
    engine = (
        "import os; from pathlib import Path; from flows.processes import Children\n"
        "c = Children(); c.run(['cat'], cwd=Path.cwd(), env=dict(os.environ), time_limit_s=30,"
        " line=print, order='x\\n')\n"
        "print(*(p.pid for p in c._ahead.values()), flush=True); os.kill(os.getpid(), 9)"
    )
    said = subprocess.run([sys.executable, "-c", engine], capture_output=True, text=True).stdout
    pid = int(said.split()[-1])
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid)
