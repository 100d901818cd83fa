"""PostgreSQL, an S3 store, the servers on them, and machines that know nothing but addresses."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.postgres_s3 import Servers, free_ports, missing, servers
from tests.checkout import copy_files

ME = ("-c", "user.name=test", "-c", "user.email=test@localhost")
PREFECT_LOGIN = f"team:prefect-{secrets.token_hex(8)}"


@dataclass
class Machine:
    """A folder with the project, and an environment; what it said is kept.

    Parameters
    ----------
    root : Path
    env : mapping
        Beside what every process needs.
    """

    root: Path
    env: Mapping[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
        git = {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
        code = {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        return {**kept, **quiet, **git, **code, **self.env}

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command; its exit code has to be as said."""
        begin = time.monotonic()
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, text=True, capture_output=True
        )
        text = f"{done.stdout}{done.stderr}"
        self.said.append(text)
        took = f"{time.monotonic() - begin:.1f} s"
        sys.stderr.write(f"{self.root.name}: {' '.join(command[1:])[:100]}: {took}\n")
        if done.returncode != code:
            pytest.fail(f"{' '.join(command)} gave {done.returncode}:\n{text[-4000:]}")
        return text

    def hms(self, *arguments: str, code: int = 0) -> str:
        return self.run(sys.executable, "-m", "hms_pipeline", *arguments, code=code)


@dataclass
class Team:
    """The backends, the machine of the servers, and what the others need to reach them."""

    backends: Servers
    first: Machine
    addresses: dict[str, str]

    @property
    def secrets(self) -> list[str]:
        login = PREFECT_LOGIN.partition(":")[2]
        return [self.backends.database_password, self.backends.store_secret, login]


def clone(target: Path) -> Path:
    """This checkout's files, without data and results."""
    return copy_files(target, ("dvc.lock", "data.dvc"))


@pytest.fixture(scope="module")
def team(tmp_path_factory) -> Iterator[Team]:
    """Both backends and both servers, up."""
    if lacking := missing():
        pytest.skip(lacking)
    prefect, mlflow = free_ports(2)
    addresses = {
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "PREFECT_API_AUTH_STRING": PREFECT_LOGIN,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
    }
    with servers() as backends:
        env = {
            **backends.environment,
            "HMS_PREFECT_PORT": str(prefect),
            "HMS_MLFLOW_PORT": str(mlflow),
            "PREFECT_SERVER_API_AUTH_STRING": PREFECT_LOGIN,
        }
        first = Machine(clone(tmp_path_factory.mktemp("first") / "project"), env)
        try:
            first.run(sys.executable, "-m", "flows.stack", "servers")
            yield Team(backends, first, addresses)
        finally:
            first.run(sys.executable, "-m", "flows.stack", "down")


@pytest.fixture
def machine(team: Team, tmp_path: Path):
    """Makes machines that know the servers' addresses and have no key of the store."""

    def make(name: str, **env: str) -> Machine:
        return Machine(clone(tmp_path / name), {**team.addresses, **env})

    return make


def git(machine: Machine, *arguments: str) -> str:
    return machine.run("git", *ME, *arguments)


@pytest.fixture
def origin(team: Team, tmp_path: Path) -> str:
    """A bare repository with the tiny recipe, whose data lie in DVC's remote."""
    author = Machine(clone(tmp_path / "author"), team.backends.store_keys)
    git(author, "init", "-q", "-b", "main")
    author.hms("recipe", "tiny")
    author.hms("sample", "--out", "data")
    dvc = (sys.executable, "-m", "dvc")
    author.run(*dvc, "remote", "add", "-q", "--default", "team", f"s3://{team.backends.bucket}/dvc")
    author.run(*dvc, "remote", "modify", "team", "endpointurl", team.backends.store_url)
    author.run(*dvc, "add", "-q", "data")
    author.run(*dvc, "push", "-q")
    git(author, "add", "-A")
    git(author, "commit", "-q", "-m", "start")
    bare = tmp_path / "origin.git"
    git(author, "clone", "-q", "--bare", str(author.root), str(bare))
    return str(bare)


def cloned(origin: str, target: Path, env: dict[str, str]) -> Machine:
    subprocess.run(["git", "clone", "-q", origin, str(target)], check=True)
    return Machine(target, env)
