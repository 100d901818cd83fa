"""The databases and buckets behind the servers: the variables that name them, and their state.

All of the servers' settings are read here; docs/how-to/team.md lists them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ..system.errors import InputError, hide_passwords

MLFLOW_STORE = "MLFLOW_BACKEND_STORE_URI"
MLFLOW_FILES = "MLFLOW_ARTIFACTS_DESTINATION"
PREFECT_STORE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
S3_ADDRESS = "MLFLOW_S3_ENDPOINT_URL"
EXTRA = "Run pip install 'hms-pipeline[team]'."
TIMEOUT_S = 5
COUNTED = 100_000  # most objects of a bucket that are counted
MB = 1e6


@dataclass(frozen=True)
class Database:
    """A PostgreSQL database that a server keeps its content in.

    Parameters
    ----------
    name : str
        Whose it is.
    url : str
        As SQLAlchemy reads it, with whatever driver.
    extension : str
        What it needs besides.
    driver : str
        How an address begins that its server can use.
    """

    name: str
    url: str = field(repr=False)
    extension: str = ""
    driver: str = "postgresql+psycopg"

    def state(self) -> str:
        """What it is, as whom it is asked, and how much it holds.

        Raises
        ------
        InputError
            It does not answer, or a driver is missing: this one's, or the one that the address
            names for its server.
        """
        _need("psycopg", self.name)
        from sqlalchemy import create_engine, text
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import SQLAlchemyError

        try:
            url = make_url(self.url).set(drivername="postgresql+psycopg")
        except (SQLAlchemyError, ValueError) as err:
            raise _silent(self.name, "its address", err) from None
        engine = create_engine(url, connect_args={"connect_timeout": TIMEOUT_S})
        where = f"{url.host}:{url.port or 5432}/{url.database}"
        query = text(
            "SELECT current_setting('server_version'), current_user,"
            " pg_database_size(current_database()),"
            " (SELECT count(*) FROM pg_available_extensions WHERE name = :extension)"
        )
        try:
            with engine.connect() as link:
                version, user, size, found = link.execute(
                    query, {"extension": self.extension}
                ).one()
        except SQLAlchemyError as err:
            raise _silent(self.name, where, getattr(err, "orig", None) or err) from None
        finally:
            engine.dispose()
        if self.extension and not found:
            raise InputError(
                f"{self.name} needs the extension {self.extension!r}, but the PostgreSQL server at"
                f" {where} has none. Install PostgreSQL's contrib package there."
            )
        self.check_driver()
        return f"PostgreSQL {version.split()[0]} at {where}, as {user}, {size / MB:.0f} MB"

    def check_driver(self) -> None:
        """Refuse an address whose server would not find the driver that it names."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import NoSuchModuleError

        url = make_url(self.url)
        try:
            url.get_dialect().import_dbapi()
        except (NoSuchModuleError, ImportError):
            raise InputError(
                f"{self.name} needs an address with a driver that is installed, but it begins with"
                f" {url.drivername}://. Begin it with {self.driver}://."
            ) from None


@dataclass(frozen=True)
class Bucket:
    """A part of an S3 bucket.

    Parameters
    ----------
    name : str
        Whose it is.
    url : str
        ``s3://bucket/prefix``.
    endpoint : str, optional
        Address of another store than Amazon's.
    key, secret : str, optional
        Where they are not those of the environment.
    """

    name: str
    url: str
    endpoint: str | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)

    def state(self) -> str:
        """What it is, as whom it is asked, and how much it holds.

        Raises
        ------
        InputError
            It does not answer, or the driver is missing.
        """
        _need("boto3", self.name)
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        brief = Config(
            retries={"max_attempts": 1}, connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S
        )
        parts = urlsplit(self.url)
        try:
            session = boto3.Session(self.key, self.secret)
            client = session.client("s3", endpoint_url=self.endpoint, config=brief)
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=parts.netloc,
                Prefix=parts.path.strip("/"),
                PaginationConfig={"MaxItems": COUNTED},
            )
            sizes = [entry["Size"] for page in pages for entry in page.get("Contents", [])]
        except (BotoCoreError, ClientError, ValueError) as err:
            raise _silent(self.name, self.url, err) from None
        found = session.get_credentials()
        user = found.access_key if found else "nobody"
        more = "at least " if len(sizes) == COUNTED else ""
        where = f"{self.url} at {client.meta.endpoint_url}"
        return f"S3, {where}, as {user}, {more}{len(sizes)} objects, {sum(sizes) / MB:.0f} MB"


def backends(env: Mapping[str, str] = os.environ) -> Iterator[Database | Bucket]:
    """What the environment names for the servers that run here."""
    if env.get(MLFLOW_STORE, "").startswith("postgres"):
        yield Database("MLflow's database", env[MLFLOW_STORE])
    if env.get(MLFLOW_FILES, "").startswith("s3:"):
        yield Bucket("MLflow's files", env[MLFLOW_FILES], env.get(S3_ADDRESS))
    if env.get(PREFECT_STORE, "").startswith("postgres"):
        driver = "postgresql+asyncpg"
        yield Database("Prefect's database", env[PREFECT_STORE], "pg_trgm", driver)


def dvc_remote(root: Path) -> Bucket | str | None:
    """DVC's default remote: a bucket, another address, or None where there is none."""
    command = [sys.executable, "-m", "dvc", "config", "--list"]
    done = subprocess.run(
        command, cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    settings = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    name = settings.get("core.remote")
    url = settings.get(f"remote.{name}.url", "")
    if not name or not url.startswith("s3:"):
        return url or None
    more = ("endpointurl", "access_key_id", "secret_access_key")
    return Bucket("DVC's remote", url, *(settings.get(f"remote.{name}.{key}") for key in more))


def _need(package: str, name: str) -> None:
    if find_spec(package) is None:
        raise InputError(f"{name} needs the package {package}, which is not installed. {EXTRA}")


def _silent(name: str, where: str, err: BaseException) -> InputError:
    why = hide_passwords(" ".join(str(err).split()))[:300]
    return InputError(
        f"{name} has to answer, but {where} does not: {why}. See whether it runs and"
        " whether user and password are right (docs/how-to/team.md)."
    )
