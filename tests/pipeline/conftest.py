"""A whole project on the tiny recipe, run once and shared by the slow tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock

from tests import warm
from tests.checkout import copy_files

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """A copy of the checkout in which commands run as a user would run them.

    Parameters
    ----------
    root : Path
    warm : bool
        Whether ``dvc`` and ``hms`` begin with the libraries loaded.
    """

    root: Path
    warm: bool = False

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "DVC_NO_ANALYTICS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        if self.warm and command[0] in ("dvc", "hms"):
            done = warm.run(command, self.root, self.environment())
        else:
            done = subprocess.run(
                command, cwd=self.root, env=self.environment(), text=True, capture_output=True
            )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def commit(self, note: str) -> None:
        self.run("git", "add", "-A")
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        self.run("git", *identity, "commit", "-q", "-m", note)

    def copy(self, target: Path) -> Project:
        """The same project elsewhere, with its artifacts, DVC cache and registry."""
        shutil.copytree(self.root, target, symlinks=True)
        return replace(self, root=target)


def copy_of_checkout(target: Path) -> Project:
    """The files git tracks or would track, with the tiny recipe, its data and a git history."""
    project = Project(copy_files(target, ("dvc.lock", "data.dvc")))
    project.run("git", "init", "-q")
    project.run("hms", "recipe", "tiny")
    project.run("hms", "sample", "--out", "data")
    project.run("dvc", "add", "-q", "data")
    project.commit("start")
    return project


@pytest.fixture(scope="session")
def tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny recipe, run to its champion by `dvc repro` and committed. Tests change copies of it.

    Of several processes of pytest the first makes it; each then has a copy of its own.
    """
    own = tmp_path_factory.getbasetemp()
    made = Project((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny")
    finished = made.root.with_name("tiny.finished")
    with FileLock(made.root.with_name("tiny.lock")):
        if not finished.exists():
            copy_of_checkout(made.root)
            made.run("dvc", "repro")
            made.commit("dvc.lock")
            finished.touch()
    return made.copy(own / "own")


@pytest.fixture(scope="session")
def warm_project(tiny_project: Project) -> Project:
    """``tiny_project``, whose commands begin with the libraries loaded."""
    return replace(tiny_project, warm=True)
