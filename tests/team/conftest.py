"""PostgreSQL, an S3 store, the servers on them, and machines that know nothing but addresses."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.postgres_s3 import Servers, free_ports, missing, servers, wait_until
from benchmarks.proxy import Proxy
from hms_pipeline.config import Params
from hms_pipeline.config.params import parse_params
from hms_pipeline.config.recipes import compose, merge_patch, write_recipe
from tests.checkout import ROOT, copy_files

from .network import Bridge, Place, lacking

LOOPBACK = "127.0.0.1"
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
    place : Place, optional
        Where its processes run; None: in this one's network, with this one's folders.
    """

    root: Path
    env: Mapping[str, str]
    place: Place | None = None
    said: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
        git = {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
        path = os.pathsep.join([str(self.root), os.environ.get("PYTHONPATH", "")])
        code = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        return {**kept, **quiet, **git, **code, **self.env}

    def command(self, *command: str) -> list[str]:
        return [*(self.place.prefix if self.place else ()), *command]

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """Let this thread open connections from there."""
        return self.place.entered() if self.place else contextlib.nullcontext()

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command; its exit code has to be as said."""
        begin = time.monotonic()
        done = subprocess.run(
            self.command(*command), cwd=self.root, env=self.environment, text=True,
            capture_output=True,
        )  # fmt: skip
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
    store_url: str
    bridge: Bridge | None

    @property
    def host(self) -> str:
        """Where others find what runs on this machine."""
        return self.bridge.host if self.bridge else LOOPBACK

    @property
    def secrets(self) -> list[str]:
        login = PREFECT_LOGIN.partition(":")[2]
        return [self.backends.database_password, self.backends.store_secret, login]

    def machine(self, folder: Path, env: Mapping[str, str], *private: Path) -> Machine:
        """A machine that shares nothing but addresses, where that can be had."""
        name = folder.name
        return Machine(folder, env, self.bridge and self.bridge.join(folder, name, private))


def clone(target: Path) -> Path:
    """This checkout's files, without data and results."""
    return copy_files(target, ("dvc.lock", "data.dvc"))


@pytest.fixture(scope="module")
def bridge(tmp_path_factory) -> Iterator[Bridge | None]:
    """What joins machines in namespaces of their own; None where these cannot be had."""
    if lacking():
        yield None
        return
    found = Bridge(tmp_path_factory.getbasetemp())
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def team(tmp_path_factory, bridge: Bridge | None) -> Iterator[Team]:
    """Both backends and both servers, up; they listen on loopback and are relayed to the bridge."""
    if absent := missing():
        pytest.skip(absent)
    ports = dict(zip(("prefect", "mlflow"), free_ports(2), strict=True))
    with servers() as backends:
        env = {
            **backends.environment,
            **{f"HMS_{name.upper()}_PORT": str(port) for name, port in ports.items()},
            "PREFECT_SERVER_API_AUTH_STRING": PREFECT_LOGIN,
        }
        first = Machine(clone(tmp_path_factory.mktemp("first") / "project"), env)
        host = bridge.host if bridge else LOOPBACK
        relays = [Proxy(port, host) for port in (*ports.values(), backends.store_port)]
        prefect, mlflow, store = (f"http://{host}:{relay.port}" for relay in relays)
        addresses = {
            "PREFECT_API_URL": f"{prefect}/api",
            "PREFECT_API_AUTH_STRING": PREFECT_LOGIN,
            "MLFLOW_TRACKING_URI": mlflow,
        }
        try:
            first.run(sys.executable, "-m", "flows.stack", "servers")
            yield Team(backends, first, addresses, store, bridge)
        finally:
            first.run(sys.executable, "-m", "flows.stack", "down")
            for relay in relays:
                relay.close()


@pytest.fixture
def machine(team: Team, tmp_path: Path):
    """Makes machines that know the servers' addresses and have no key of the store."""

    def make(name: str, **env: str) -> Machine:
        return team.machine(clone(tmp_path / name), {**team.addresses, **env})

    return make


def git(machine: Machine, *arguments: str) -> str:
    return machine.run("git", *ME, *arguments)


def recipe_of_one() -> Params:
    """The tiny recipe with one member and without a student."""
    tiny = compose(ROOT / "recipes", "tiny").model_dump(mode="json")
    less = {"members": {"v2s-spec": None}, "views": {"spec_multi": None}, "student": None}
    return parse_params(merge_patch(tiny, less), "one member")


@pytest.fixture
def origin(team: Team, tmp_path: Path) -> Iterator[str]:
    """The address of a repository with a small recipe, whose data lie in DVC's remote."""
    author = Machine(clone(tmp_path / "author"), team.backends.store_keys)
    git(author, "init", "-q", "-b", "main")
    write_recipe(author.root / "params.yaml", recipe_of_one())
    author.hms("sample", "--out", "data")
    dvc = (sys.executable, "-m", "dvc")
    author.run(*dvc, "remote", "add", "-q", "--default", "team", f"s3://{team.backends.bucket}/dvc")
    author.run(*dvc, "remote", "modify", "team", "endpointurl", team.store_url)
    author.run(*dvc, "add", "-q", "data")
    author.run(*dvc, "push", "-q")
    git(author, "add", "-A")
    git(author, "commit", "-q", "-m", "start")
    git(author, "clone", "-q", "--bare", str(author.root), str(tmp_path / "origin.git"))
    with git_server(tmp_path, team.host) as address:
        yield f"{address}/origin.git"


@contextlib.contextmanager
def git_server(folder: Path, host: str) -> Iterator[str]:
    """Serves the repositories of a folder to whoever knows the address."""
    (port,) = free_ports(1)
    serve = ["git", "daemon", "--export-all", "--enable=receive-pack", f"--base-path={folder}"]
    with subprocess.Popen([*serve, f"--listen={host}", f"--port={port}"]) as process:
        try:
            wait_until(lambda: socket.create_connection((host, port), 1).close(), "git")
            yield f"git://{host}:{port}"
        finally:
            process.terminate()


def cloned(
    team: Team, origin: str, target: Path, env: Mapping[str, str], *private: Path
) -> Machine:
    subprocess.run(["git", "clone", "-q", origin, str(target)], check=True)
    return team.machine(target, env, *private)
