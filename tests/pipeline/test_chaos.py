"""Kills of a stage, of the flow and of the worker, on a toy graph and a stack of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import toy

from .test_flows import ROOT, stack_environment

pytestmark = [pytest.mark.slow, pytest.mark.stack]


@pytest.mark.timeout(1800)
def test_a_kill_of_each_kind(tmp_path: Path) -> None:
    """Three kills; `make slow` makes twenty, on this project."""
    toy.write(tmp_path / "toy", folds=2, seconds=0.5)
    command = [sys.executable, "-m", "benchmarks.chaos", str(tmp_path / "toy")]
    command += ["--kills", "3", "--seed", "1"]
    done = subprocess.run(
        command, env=stack_environment(), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise held" in done.stdout
