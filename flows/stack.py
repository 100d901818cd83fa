"""Prefect server, worker and MLflow server: ``python -m flows.stack up``.

``servers`` starts the servers alone, ``worker`` a worker of servers that the environment names.
Addresses and stores come from the environment (docs/how-to/operations.md). Everything that is
started writes its pid and start time under ``.run/``; ``down`` ends exactly these processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hms_pipeline.system.errors import InputError, hide_passwords
from hms_pipeline.system.files import write_json
from hms_pipeline.system.processes import alive, birth
from hms_pipeline.tracking.backends import MLFLOW_FILES, MLFLOW_STORE, backends
from hms_pipeline.tracking.servers import is_loopback
from hms_pipeline.tracking.store import open_store

from .environment import captured, paths_of, prepare, program_path, run_folder
from .processes import end_group

POOL = "local"
UP_WITHIN_S = 600.0  # a server that ends is seen at once; one on a busy machine takes minutes


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @property
    def reachable(self) -> str:
        """The address as a client on this machine uses it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared
        return f"http://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True where only this machine reaches the server."""
        return is_loopback(self.host)


@dataclass(frozen=True)
class Service:
    """One process of the stack; one without ``health`` counts as up while it runs."""

    name: str
    command: Sequence[str]
    health: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    address: Address | None = None


@dataclass(frozen=True)
class Stack:
    """Addresses and stores, from the environment.

    ``HMS_HOST``, ``HMS_PREFECT_PORT``, ``HMS_MLFLOW_PORT``: addresses.
    ``MLFLOW_BACKEND_STORE_URI``, ``MLFLOW_ARTIFACTS_DESTINATION``: MLflow's stores.
    ``PREFECT_SERVER_API_AUTH_STRING``, ``HMS_MLFLOW_AUTH``: authentication.
    """

    root: Path
    prefect: Address
    mlflow: Address
    mlflow_store: str
    mlflow_artifacts: str
    mlflow_auth: bool

    @classmethod
    def from_environment(cls, root: Path) -> Stack:
        """Read the settings; refuse an address that others reach without authentication."""
        host = os.environ.get("HMS_HOST", "127.0.0.1")
        store, files = _own_store(root)
        prefect, mlflow = _port("HMS_PREFECT_PORT", 4200), _port("HMS_MLFLOW_PORT", 5000)
        stack = cls(
            root=root,
            # one that runs already, whichever shell started it, is where it is
            prefect=_recorded(root, "prefect") or Address(host, prefect),
            mlflow=_recorded(root, "mlflow") or Address(host, mlflow),
            mlflow_store=os.environ.get(MLFLOW_STORE, store),
            mlflow_artifacts=os.environ.get(MLFLOW_FILES, files),
            mlflow_auth=os.environ.get("HMS_MLFLOW_AUTH", "") == "basic-auth",
        )
        stack.check()
        return stack

    def check(self) -> None:
        """Refuse to listen beyond this machine where anybody could command the servers.

        Raises
        ------
        InputError
            The host is not a loopback address and a server has no authentication, or MLflow's
            is wanted without the package that it needs.
        """
        if self.mlflow_auth and find_spec("flask_wtf") is None:
            raise InputError(
                "HMS_MLFLOW_AUTH=basic-auth needs the package Flask-WTF, which is not installed."
                " Run pip install 'mlflow[auth]'."
            )
        if self.prefect.loopback and self.mlflow.loopback:
            return
        missing = []
        if ":" not in os.environ.get("PREFECT_SERVER_API_AUTH_STRING", ""):
            missing.append("PREFECT_SERVER_API_AUTH_STRING=user:password for Prefect")
        if not (self.mlflow_auth and os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY")):
            missing.append(
                "HMS_MLFLOW_AUTH=basic-auth and MLFLOW_FLASK_SERVER_SECRET_KEY for MLflow"
            )
        if missing:
            raise InputError(
                f"A server on {self.prefect.host} is open to other machines and needs"
                f" authentication. Set {' and '.join(missing)}, or leave HMS_HOST at 127.0.0.1"
                " (docs/how-to/operations.md)."
            )

    @property
    def direct(self) -> bool:
        """Whether stages write to MLflow's store themselves, so that they need no server.

        They do if it is the project's own store, which they find without an address.
        """
        own = _own_store(self.root)
        return (self.mlflow_store, self.mlflow_artifacts) == own

    def services(self) -> list[Service]:
        """The processes, in the order in which they start."""
        return [self._prefect(), self._mlflow(), self._worker(self.client_environment())]

    def client_environment(self) -> dict[str, str]:
        """What a shell, a worker or a flow needs to find the servers."""
        env = {"PREFECT_API_URL": f"{self.prefect.reachable}/api"}
        env["HMS_MLFLOW_URL" if self.direct else "MLFLOW_TRACKING_URI"] = self.mlflow.reachable
        if secret := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
            env["PREFECT_API_AUTH_STRING"] = os.environ.get("PREFECT_API_AUTH_STRING", secret)
        return env

    def _prefect(self) -> Service:
        command = [*_module("prefect"), "server", "start", "--host", self.prefect.host]
        command += ["--port", str(self.prefect.port)]
        env = {"PREFECT_UI_API_URL": f"{self.prefect.reachable}/api"}
        return Service(
            "prefect", command, f"{self.prefect.reachable}/api/health", env, self.prefect
        )

    def _mlflow(self) -> Service:
        command = [*_module("mlflow"), "server", "--host", self.mlflow.host]
        command += ["--port", str(self.mlflow.port), "--workers", "1"]
        command += ["--serve-artifacts"]
        if self.mlflow_auth:
            command += ["--app-name", "basic-auth"]
        env = {
            # not in the command, which every user of the machine sees: it may hold a password
            MLFLOW_STORE: self.mlflow_store,
            MLFLOW_FILES: self.mlflow_artifacts,
            # Otherwise eight more processes run idle.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        return Service("mlflow", command, f"{self.mlflow.reachable}/health", env, self.mlflow)

    def _worker(self, env: Mapping[str, str]) -> Service:
        command = [*_module("prefect"), "worker", "start", "--pool", POOL, "--type", "process"]
        command += ["--name", f"{POOL}-{os.uname().nodename}"]
        # Prefect starts a run in an empty folder; prefect.yaml leads it to the worker's project.
        own = {"HMS_ROOT": str(self.root.absolute()), "PATH": program_path()}
        return Service("worker", command, None, {**env, **own})


def _own_store(root: Path) -> tuple[str, str]:
    """MLflow's database and files, if the environment names no others."""
    mlruns = root.absolute() / "mlruns"
    return f"sqlite:///{mlruns}/mlflow.db", str(mlruns / "artifacts")


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise InputError(f"{name} must be a port from 1 to 65535, but is {text!r}. Correct it.")
    return int(text)


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def up(root: Path, worker: bool = True) -> Stack:
    """Start what does not run yet, wait until it answers, deploy the flows.

    Parameters
    ----------
    root : Path
    worker : bool
        Whether a worker starts, too.

    Raises
    ------
    InputError
        A service or what it needs does not answer, or its port is taken by something else.
    """
    stack = Stack.from_environment(root)
    for backend in backends():
        backend.state()  # before a server fails on it with a traceback in its log
    prepare(root)
    if stack.direct:
        prepare_mlflow(root)
    prefect, mlflow, own_worker = stack.services()
    for service in (prefect, mlflow):  # at once: each takes seconds
        _begin(root, service)
    wait_for(root, prefect)
    deploy(root, stack)
    wait_for(root, mlflow)
    if worker:
        _begin(root, own_worker)
        wait_for(root, own_worker)
    return stack


def _begin(root: Path, service: Service) -> None:
    """Start a service that does not run yet."""
    if running(root, service.name):
        return
    if service.health and _answers(service.health):
        raise InputError(
            f"A free address is needed for {service.name}, but {service.health} answers"
            " already. End what listens there, or set another port."
        )
    start(root, service)


def up_worker(root: Path) -> Stack:
    """Start a worker alone, of servers on another machine.

    Raises
    ------
    InputError
        The environment does not name them, or the worker does not stay alive.
    """
    missing = [
        name for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI") if not os.environ.get(name)
    ]
    if missing:
        raise InputError(
            f"A worker needs the addresses of its servers, but {' and '.join(missing)} is not set."
            " Set it as python -m flows.stack up prints it on the servers' machine."
        )
    stack = Stack.from_environment(root)
    prepare(root)
    service = stack._worker({})  # noqa: SLF001 - this module's own
    _begin(root, service)
    wait_for(root, service)
    return stack


def prepare_mlflow(root: Path) -> None:
    """Create MLflow's database alone, before two processes meet in it."""
    saved = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        open_store(paths_of(root))
    finally:
        if saved is not None:
            os.environ["MLFLOW_TRACKING_URI"] = saved


def deploy(root: Path, stack: Stack) -> None:
    """Create the work pool and the deployments of prefect.yaml; both may be there already."""
    env = {**os.environ, **stack.client_environment()}
    env.pop("HMS_ROOT", None)  # every worker fills in its own
    if not (root / "prefect.yaml").exists():
        return
    create = ["work-pool", "create", POOL, "--type", "process", "--overwrite"]
    for arguments in (create, ["--no-prompt", "deploy", "--all"]):
        done = captured([*_module("prefect"), *arguments], root, env)
        if done.returncode:
            last = " ".join((done.stdout + done.stderr).split())[-400:]
            raise InputError(f"prefect {' '.join(arguments)} failed: {last}")


def start(root: Path, service: Service) -> None:
    """Start a service in its own session, with a log and a pid file."""
    folder = run_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{service.name}.log").open("ab") as out:
        child = subprocess.Popen(
            service.command,
            cwd=root,
            env={**os.environ, **service.env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record: dict[str, Any] = {"pid": child.pid, "born": birth(child.pid)}
    if service.address:
        record |= asdict(service.address)
    write_json(_pid_file(root, service.name), record)


def wait_for(root: Path, service: Service) -> None:
    """Wait until a service answers; a worker only has to stay alive."""
    deadline = time.monotonic() + UP_WITHIN_S
    settled = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        if not running(root, service.name):
            break
        if _answers(service.health) if service.health else time.monotonic() > settled:
            return
        time.sleep(0.2)
    log = run_folder(root) / f"{service.name}.log"
    text = log.read_text(errors="replace", encoding="utf-8") if log.exists() else ""
    last = hide_passwords((text.strip() or "nothing").splitlines()[-1].strip())[:300]
    raise InputError(f"{service.name} did not come up. Its log, {log}, ends with: {last}")


def down(root: Path) -> list[str]:
    """End what ``up`` started, the worker before its server; returns the names."""
    ended = []
    for name in ("worker", "mlflow", "prefect"):
        pid = running(root, name)
        if pid:
            end_group(pid, grace_s=20.0)
            ended.append(name)
        _pid_file(root, name).unlink(missing_ok=True)
    return ended


def running(root: Path, name: str) -> int | None:
    """Pid of a service that this stack started and that lives."""
    record = _record(root, name)
    return record["pid"] if record else None


def _record(root: Path, name: str) -> dict[str, Any] | None:
    """Read what was recorded when a service was started; None if it no longer runs."""
    try:
        record = json.loads(_pid_file(root, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if alive(record["pid"], record.get("born", "")) else None


def _recorded(root: Path, name: str) -> Address | None:
    record = _record(root, name) or {}
    return Address(record["host"], record["port"]) if "port" in record else None


def _pid_file(root: Path, name: str) -> Path:
    return run_folder(root) / f"{name}.json"


def _answers(url: str) -> bool:
    # The server is on this machine: use no proxy.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as err:
        return err.code in (401, 403)  # it is there, and wants authentication
    except OSError:
        return False


def status(root: Path) -> dict[str, str]:
    """What runs and answers, by name, and where."""
    stack = Stack.from_environment(root)
    states = {}
    for service in stack.services():
        pid = running(root, service.name)
        answers = pid and (service.health is None or _answers(service.health))
        where = f" {service.address.reachable}" if service.address and pid else ""
        states[service.name] = ("up" if answers else "not answering" if pid else "down") + where
    return states


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the stack up or down, or tell how it is; 2 where the settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m flows.stack", description=__doc__)
    parser.add_argument("action", choices=("up", "servers", "worker", "down", "status"))
    parser.add_argument("--root", type=Path, default=Path("."), help="the project (default: here)")
    args = parser.parse_args(arguments)
    root = args.root.resolve()
    try:
        print("\n".join(_act(args.action, root)))  # noqa: T201
    except InputError as err:
        print(err, file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _act(action: str, root: Path) -> list[str]:
    if action == "status":
        return [f"{name:<8} {state}" for name, state in status(root).items()]
    if action == "down":
        return [f"Ended {', '.join(down(root)) or 'nothing: nothing of it ran'}."]
    if action == "worker":
        up_worker(root)
        return [f"Worker   pool {POOL!r}; logs in {run_folder(root)}"]
    stack = up(root, worker=action == "up")
    return [
        f"Prefect  {stack.prefect.reachable}",
        f"MLflow   {stack.mlflow.reachable}",
        f"Worker   pool {POOL!r}; logs in {run_folder(root)}" if action == "up" else "No worker",
        *(
            f"export {name}={value if 'AUTH' not in name else '...'}"
            for name, value in stack.client_environment().items()
        ),
        "prefect deployment run retrain/nightly --watch",
    ]


if __name__ == "__main__":
    sys.exit(main())
