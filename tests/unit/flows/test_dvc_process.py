"""DVC's files are whole at any moment, also where the process is killed while it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import _common, modify_yaml

from flows.dvc_process import COMMAND, RAN, RESTORED, UP_TO_DATE, install, on_order, verdict_of

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


def test_dvc_still_says_what_became_of_a_stage(tmp_path):
    """Its words are private to the release; another one's would be an error, not "Ran"."""
    root = tmp_path / "repo"
    root.mkdir()
    (root / "data").write_text("1")
    (root / "dvc.yaml").write_text(
        "stages: {a: {cmd: 'cp data out; echo $COLOUR', deps: [data], outs: [out]}}"
    )

    def verdict(stage: str) -> list[str]:
        command, order = on_order(stage, False, {"COLOUR": "blue"})
        done = subprocess.run(
            command, input=order, cwd=root, text=True, capture_output=True, check=True
        )
        lines = done.stdout.splitlines()
        found = [found[0] for line in lines if (found := verdict_of(stage, line))]
        assert ("blue" in lines) is (stage == "a" and found == [RAN])
        return found

    for arguments in (["init", "--no-scm", "-q"], ["add", "data", "-q"]):
        subprocess.run([*COMMAND, *arguments], cwd=root, check=True)
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
    without = subprocess.run(
        on_order("a", False, {})[0], input="", cwd=root, text=True, check=False
    )
    assert without.returncode == 0
    assert verdict_of("a", "Stage 'ab' is cached - skipping run") is None
