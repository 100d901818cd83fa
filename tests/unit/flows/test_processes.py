"""Process groups end whole and in time; orphans are told from children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from flows import processes
from flows.dvc_process import COMMAND, order_of, server
from flows.processes import MARK, Children, end_orphans, mark, orphans
from hms_pipeline.system.processes import alive, birth

SLEEP = "import subprocess, sys, time; {} print('up', flush=True); time.sleep(60)"
GRANDCHILD = (
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True);"
)


RUNS_CODE = """
import sys
from flows import dvc_process

def run(arguments):
    scope = {"code": 0}
    exec(arguments[0], scope)
    return scope["code"]

dvc_process._OF_DVC, dvc_process._dvc = (), run
dvc_process._run_stages_by = lambda child, writer: None
sys.exit(dvc_process.serve([]))
"""  # a server whose forks run Python's code in place of DVC


@pytest.fixture
def children() -> Iterator[Children]:
    with Children([sys.executable, "-c", RUNS_CODE], Path.cwd(), os.environ) as children:
        yield children


def run(children: Children, code: str, seconds: float = 30, lines: list | None = None):
    return children.run(
        json.dumps({"arguments": [code], "env": {}}),
        time_limit_s=seconds,
        line=(lines if lines is not None else []).append,
    )


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_output_comes_line_by_line_and_the_code_comes_back(children):
    lines = []
    code, late = run(children, "print('a'); print('b'); code = 3", lines=lines)
    assert (code, late, lines) == (3, False, ["a", "b"])


def test_time_limit_ends_the_whole_group(children):
    lines = []
    code, late = run(children, SLEEP.format(GRANDCHILD), seconds=1.0, lines=lines)
    assert late
    assert code != 0
    assert gone(int(lines[0]))


def test_a_child_that_ends_leaves_no_grandchild(children):
    lines = []
    code, _ = run(children, f"import subprocess, sys; {GRANDCHILD}", lines=lines)
    assert code == 0
    assert gone(int(lines[0]))


def test_stop_ends_children_and_refuses_new_ones(children):
    lines, results = [], []
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


def of_dvc(root: Path) -> Children:
    return Children(server(False), root, os.environ)


def give(children: Children) -> tuple[int, list[str]]:
    lines = []
    given = json.dumps({"arguments": ["banana"], "env": {}})
    code, _ = children.run(given, time_limit_s=30, line=lines.append)
    return code, lines


def test_one_server_forks_itself_for_every_order_and_is_ended_with_the_run():
    others = set(psutil.Process().children())  # of tests that ran before in this process
    with of_dvc(Path.cwd()) as children:
        said, servers = [], []
        for _ in range(3):
            said.append(give(children))
            servers.append(set(psutil.Process().children()) - others)
        assert said == [said[0]] * 3
        assert said[0][0] == 254
        assert "invalid choice: 'banana'" in "\n".join(said[0][1])
        assert servers == [servers[0]] * 3
        (server,) = servers[0]
        server.kill()  # whatever becomes of it, the next order is carried out
        assert give(children) == said[0]
        assert set(psutil.Process().children()) - others != servers[0]
    assert set(psutil.Process().children()) <= others


def test_a_fork_that_is_killed_or_late_is_told_and_leaves_nobody(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: echo up; sleep 600}}")
    subprocess.run([*COMMAND, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    forks = []

    def find(text: str, kill: bool) -> None:
        if text == "up":
            (server,) = set(psutil.Process().children()) - others
            forks.extend(server.children(recursive=True))
            if kill:
                server.children()[0].kill()

    others = set(psutil.Process().children())
    with of_dvc(tmp_path) as children:
        for kill in (True, False):
            code, late = children.run(
                order_of("a", True, {}),
                time_limit_s=30 if kill else 5,
                line=partial(find, kill=kill),
            )
            assert (code, late) == (-9, not kill)
    assert len(forks) >= 4  # DVC and the stage, twice
    assert all(gone(fork.pid) for fork in forks)


def test_a_server_that_does_not_answer_is_replaced_and_delays_no_end(monkeypatch):
    monkeypatch.setattr(processes, "ANSWER_S", 1.0)
    monkeypatch.setattr(processes, "GRACE_S", 0.1)
    with of_dvc(Path.cwd()) as children:
        said = give(children)
        children._server.process.send_signal(signal.SIGSTOP)
        assert give(children) == said
        monkeypatch.setattr(processes, "ANSWER_S", 600.0)
        children._server.process.send_signal(signal.SIGSTOP)
        results = []
        waiting = threading.Thread(target=lambda: results.append(give(children)))
        waiting.start()
        while not children._lock.locked():
            time.sleep(0.01)
        children.stop()
        waiting.join(timeout=60)
        assert results == [(-signal.SIGTERM, [])]


def test_a_server_ends_with_a_killed_engine():
    engine = (
        "import os; from pathlib import Path; from flows.processes import Children\n"
        "from flows.dvc_process import server\n"
        "c = Children(server(False), Path.cwd(), os.environ); c.serve()\n"
        "print(c._server.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    said = subprocess.run([sys.executable, "-c", engine], capture_output=True, text=True).stdout
    pid = int(said.split()[-1])
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid)
