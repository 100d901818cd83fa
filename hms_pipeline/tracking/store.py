"""MLflow's database under ``mlruns/``: created once and safely, opened to read and to write."""

from __future__ import annotations

import atexit
import errno
import logging
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Paths
from ..config.paths import MODELS
from ..system.errors import InputError
from ..system.files import atomic
from ..system.locks import locked
from .places import (
    ARTIFACTS,
    EXPERIMENT,
    foreign_addresses,
    local_path,
    move_addresses,
    own_artifacts,
    own_place,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = MODELS[0]
CHAMPION, CHALLENGER = "champion", "challenger"
SQLITE = "sqlite:///"


def database(paths: Paths) -> Path:
    """The checkout's own database."""
    return paths.mlruns / "mlflow.db"


def is_own(paths: Paths) -> bool:
    """Whether the store in use is the checkout's own, not one that the environment names."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if not named:
        return True
    place = Path(named.removeprefix(SQLITE)).resolve()
    return named.startswith(SQLITE) and place == database(paths).resolve()


def folder_of(paths: Paths, run_id: str | None, address: str) -> Path | None:
    """The folder of a run's files on this machine; None where only MLflow's client reaches them.

    In the checkout's own store the address only says whether the files are on this machine.
    """
    place = local_path(address)
    return own_place(paths, run_id) if place is not None and is_own(paths) else place


def has_store(paths: Paths) -> bool:
    """Whether there is a store to read; a server that is named is assumed to exist."""
    return not is_own(paths) or database(paths).exists()


def open_store(paths: Paths) -> str:
    """The tracking URI, to write by.

    The sqlite store is made at the first call. Two processes that first touch a fresh one at once
    ruin it, so it is made beside its place, under a lock, and renamed when it is whole. A store
    that was moved or copied here gets its addresses turned to this place.

    Parameters
    ----------
    paths : Paths
        ``MLFLOW_TRACKING_URI``, where set, is used instead of ``paths.mlruns``.
    """
    quiet_mlflow()
    uri = store_uri(paths)
    if uri.startswith(SQLITE):
        place = Path(uri.removeprefix(SQLITE))
        with locked(place.with_suffix(".lock")):
            if not place.exists():
                _create(place)
            elif is_own(paths):
                move_addresses(place)
    return uri


def store_uri(paths: Paths) -> str:
    """The store's address; nothing is asked of it."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{database(paths)}"


def read_store(paths: Paths) -> str:
    """A tracking URI to read by; nothing is written in the checkout.

    sqlite writes beside a database even to read it, so one that cannot be written is read in a
    private copy.

    Raises
    ------
    InputError
        The checkout has no store yet.
    """
    quiet_mlflow()
    uri = store_uri(paths)
    if not uri.startswith(SQLITE):
        return uri
    place = Path(uri.removeprefix(SQLITE))
    if not place.exists():
        raise InputError(
            f"A store of registered models is needed, but {place} does not exist. Register a model"
            " first: dvc repro."
        )
    if all(os.access(path, os.W_OK) for path in (place, place.parent)):
        return uri
    folder = Path(tempfile.mkdtemp(prefix="hms-store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in (place, place.with_name(f"{place.name}-wal")):
        if path.exists():
            shutil.copyfile(path, folder / path.name)
    return f"{SQLITE}{folder / place.name}"


def _create(place: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    artifacts = place.parent.resolve() / ARTIFACTS
    with atomic(place) as fresh:
        store = SqlAlchemyStore(f"{SQLITE}{fresh}", artifacts.as_uri())
        store.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
        store.engine.dispose()
        with sqlite3.connect(fresh) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()


def quiet_mlflow() -> None:
    """MLflow neither calls home nor draws progress bars nor tells of its migrations.

    What it says of a database that fails, with a traceback, it also raises. Files go through its
    server: left to itself, a client is sent to the server's bucket, which it may not reach.
    """
    for way in ("DOWNLOAD", "UPLOAD"):
        os.environ.setdefault(f"MLFLOW_ENABLE_PROXY_MULTIPART_{way}", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def open_client(paths: Paths) -> MlflowClient:
    """A client of the store for runs and versions alike, to read by."""
    return _client(read_store(paths))


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def open_to_write(paths: Paths) -> MlflowClient:
    """A client to change the store by, once it is sure that the store takes changes.

    Raises
    ------
    OSError
        The store cannot be written.
    InputError
        MLflow's experiment is in its trash, or the store names files outside the checkout.
    """
    if is_own(paths):
        _need_writable(paths)
    client = _client(open_store(paths))
    _need_own_places(paths)
    experiment_id(client, paths)
    return client


def _need_writable(paths: Paths) -> None:
    needed = [paths.mlruns, database(paths), paths.mlruns / "ledger.jsonl", own_artifacts(paths)]
    for path in needed:
        if path.exists() and not os.access(path, os.W_OK):
            raise OSError(errno.EROFS, "the registry changes it, but it cannot be written", path)


def _need_own_places(paths: Paths) -> None:
    foreign = elsewhere(paths)
    if foreign:
        column, (address, *_) = next(iter(foreign.items()))
        raise InputError(
            f"The registry of a checkout keeps its files under {paths.mlruns}, but {column} of its"
            f" database names {address}. Put back a copy of the database"
            " (docs/how-to/operations.md); hms doctor lists all such addresses."
        )


def elsewhere(paths: Paths) -> dict[str, list[str]]:
    """Addresses of the checkout's own store that name places outside of it, by column."""
    if not is_own(paths) or not has_store(paths):
        return {}
    place = Path(read_store(paths).removeprefix(SQLITE))
    return foreign_addresses(place, own_artifacts(paths))


def experiment_id(client: MlflowClient, paths: Paths) -> str:
    """Id of the project's experiment; made where there is none.

    Raises
    ------
    InputError
        It is in MLflow's trash.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        from mlflow.exceptions import MlflowException

        place = own_artifacts(paths).as_uri() if is_own(paths) else None
        try:
            return client.create_experiment(EXPERIMENT, artifact_location=place)
        except MlflowException:
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:  # nor has another process made it
                raise
    if found.lifecycle_stage != "active":
        raise InputError(
            f"The project's runs need MLflow's experiment {EXPERIMENT!r}, but it is in MLflow's"
            " trash. Bring it back: mlflow experiments restore --experiment-id"
            f" {found.experiment_id} (with MLFLOW_TRACKING_URI={store_uri(paths)})."
        )
    return found.experiment_id
