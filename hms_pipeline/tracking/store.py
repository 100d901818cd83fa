"""MLflow's database and artifacts under ``mlruns/``, created once and safely."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..config import Paths
from ..system.locks import locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "hms-ensemble"
EXPERIMENT = "hms"
CHAMPION, CHALLENGER = "champion", "challenger"


def open_store(paths: Paths) -> str:
    """The tracking URI; makes the sqlite store at the first call.

    Two processes that first touch a fresh sqlite store at once ruin it, so it is made beside its
    place, under a lock, and renamed when it is whole.

    Parameters
    ----------
    paths : Paths
        ``MLFLOW_TRACKING_URI``, where set, is used instead of ``paths.mlruns``.
    """
    quiet_mlflow()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.mlruns / 'mlflow.db'}"
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        if not database.exists():
            with locked(database.with_suffix(".lock")):
                if not database.exists():
                    _create(database)
    return uri


def _create(database: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    fresh = database.with_name(f".tmp-{os.getpid()}-{database.name}")
    fresh.unlink(missing_ok=True)
    artifacts = (database.parent / "artifacts").absolute()
    store = SqlAlchemyStore(f"sqlite:///{fresh}", artifacts.as_uri())
    store.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
    store.engine.dispose()
    with sqlite3.connect(fresh) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    os.replace(fresh, database)


def quiet_mlflow() -> None:
    """MLflow neither calls home nor draws progress bars nor tells of its migrations."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def open_client(paths: Paths) -> MlflowClient:
    """A client of the store for runs and versions alike."""
    uri = open_store(paths)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: MlflowClient, paths: Paths) -> str:
    """Id of the project's experiment; made under a lock where the store is not ours."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        with locked(paths.mlruns / "tracking.lock"):
            found = client.get_experiment_by_name(EXPERIMENT)
            return found.experiment_id if found else client.create_experiment(EXPERIMENT)
    return found.experiment_id


def local_path(uri: str) -> Path | None:
    """The folder behind a ``file:`` URI or a plain path; None where it is elsewhere."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(uri) if parts.scheme == "" else None
