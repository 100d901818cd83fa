"""DVC's files are whole at any moment, also where the process is killed while it writes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import _common, modify_yaml

from flows.dvc_process import (
    COMMAND,
    RAN,
    RESTORED,
    UP_TO_DATE,
    install,
    order_of,
    order_to_train,
    server,
    verdict_of,
)
from flows.environment import stage_environment
from flows.processes import Children

ROOT = Path(__file__).parents[3]

CUT = """
import os, signal, sys
from dvc.utils.serialize import modify_yaml
from flows import dvc_process

class Fatal:
    pass

def represent(representer, data):
    os.kill(os.getpid(), signal.SIGKILL)

from ruamel.yaml.representer import RoundTripRepresenter
RoundTripRepresenter.add_representer(Fatal, represent)
if sys.argv[2] == "whole":
    dvc_process.install()
with modify_yaml(sys.argv[1]) as lock:
    lock["stages"]["b"] = Fatal()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\nstages:\n  a:\n    cmd: x\n")
    return path


@pytest.mark.parametrize("how", ["plain", "whole"])
def test_a_kill_while_dvc_writes_leaves_the_file_as_it_was(lock, how):
    before = lock.read_text()
    done = subprocess.run([sys.executable, "-c", CUT, str(lock), how], check=False)
    assert done.returncode == -9
    assert (lock.read_text() == before) is (how == "whole")


def test_what_dvc_writes_is_what_it_wrote_before(lock, tmp_path, monkeypatch):
    other = tmp_path / "other.lock"
    other.write_text(lock.read_text())

    def change(path: Path) -> None:
        with modify_yaml(str(path)) as content:
            content["stages"]["b"] = {"cmd": "y" * 200, "outs": [{"path": "é", "size": 1}]}

    change(other)
    monkeypatch.setattr(_common, "_dump_data", _common._dump_data)  # given back afterwards
    install()
    change(lock)
    assert lock.read_bytes() == other.read_bytes()
    assert list(yaml.safe_load(lock.read_text())["stages"]) == ["a", "b"]


def test_the_module_is_dvc(tmp_path):
    command = [sys.executable, "-m", "flows.dvc_process", "--version"]
    plain = [sys.executable, "-m", "dvc", "--version"]
    answers = [subprocess.check_output(c, cwd=tmp_path, text=True) for c in (command, plain)]
    assert answers[0] == answers[1]


def children_in(root: Path) -> Children:
    return Children(server(False), root, stage_environment())


def carry_out(children: Children, order: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    code, late = children.run(order, time_limit_s=30, line=lines.append)
    assert not late
    return code, lines


def test_dvc_still_says_what_became_of_a_stage(tmp_path):
    """Its words are private to the release; another one's would be an error, not "Ran"."""
    root = tmp_path / "repo"
    root.mkdir()
    (root / "data").write_text("1")
    (root / "dvc.yaml").write_text(
        "stages: {a: {cmd: 'cp data out; echo $COLOUR', deps: [data], outs: [out]}}"
    )

    def verdict(stage: str) -> list[str]:
        code, lines = carry_out(children, order_of(stage, False, {"COLOUR": "blue"}))
        assert code == 0
        found = [found[0] for line in lines if (found := verdict_of(stage, line))]
        assert ("blue" in lines) is (stage == "a" and found == [RAN])
        return found

    for arguments in (["init", "--no-scm", "-q"], ["add", "data", "-q"]):
        subprocess.run([*COMMAND, *arguments], cwd=root, check=True)
    with children_in(root) as children:
        assert verdict("a") == [RAN]
        assert verdict("a") == [UP_TO_DATE]
        assert verdict("data.dvc") == [UP_TO_DATE]
        (root / "data").unlink()
        (root / "data").write_text("2")
        assert verdict("data.dvc") == [RAN]
        assert verdict("a") == [RAN]
        (root / "data").unlink()
        (root / "data").write_text("1")
        assert verdict("a") == [RESTORED]
    assert verdict_of("a", "Stage 'ab' is cached - skipping run") is None


def test_a_server_ends_with_its_engine(tmp_path):
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ours.close()
    with its:
        assert subprocess.run(server(False), stdin=its, timeout=60, check=False).returncode == 0


def test_a_stage_of_this_project_is_run_by_a_fork_and_its_exit_code_is_told(tmp_path):
    (tmp_path / "dvc.yaml").write_text(
        "stages: {good: {cmd: python -m hms_pipeline --version},"
        " bad: {cmd: python -m hms_pipeline banana}, shell: {cmd: echo $DVC_STAGE}}"
    )
    subprocess.run([*COMMAND, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    nowhere = {"PATH": os.devnull}  # a shell would find no Python there
    found = {}
    with children_in(tmp_path) as children:
        for stage in ("good", "bad", "shell"):
            found[stage] = carry_out(children, order_of(stage, True, nowhere))
    assert [code for code, _ in found.values()] == [0, 255, 0]
    assert any(line.startswith("hms_pipeline ") for line in found["good"][1])
    said = "\n".join(found["bad"][1])
    assert "No such command 'banana'" in said
    assert "exited with 2" in said
    assert "shell" in found["shell"][1]


def test_a_fork_is_a_command_without_dvc_and_tells_its_exit_code(tmp_path):
    python = [sys.executable, "-m", "hms_pipeline"]
    with children_in(tmp_path) as children:
        good = order_to_train([*python, "--version"], {"PATH": os.devnull})
        code, lines = carry_out(children, good)
        assert code == 0
        assert [line.partition(" ")[0] for line in lines] == ["hms_pipeline"]
        code, lines = carry_out(children, order_to_train([*python, "banana"], {}))
    assert code == 2
    assert "No such command 'banana'" in "\n".join(lines)


def test_a_fork_runs_the_code_that_lies_there_when_its_stage_begins(tmp_path):
    for package in ("flows", "hms_pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package)
    version = "python -m hms_pipeline --version"
    (tmp_path / "dvc.yaml").write_text(f"stages: {{a: {{cmd: [{version}, {version}]}}}}")
    subprocess.run([*COMMAND, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    said = []
    with children_in(tmp_path) as children:
        for number in ("7.0", "7.0.1"):
            code = tmp_path / "hms_pipeline" / "__init__.py"
            code.write_text(f'__version__ = "{number}"\n')
            code, lines = carry_out(children, order_of("a", True, {}))
            assert code == 0
            said += [line for line in lines if line.startswith("hms_pipeline ")]
    assert said == ["hms_pipeline 7.0"] * 2 + ["hms_pipeline 7.0.1"] * 2


def test_threads_of_a_stage_wait_without_spinning_unless_it_is_told_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert stage_environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert stage_environment()["OMP_WAIT_POLICY"] == "ACTIVE"
