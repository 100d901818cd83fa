"""Files of MLflow's runs: in the checkout for its own store, by MLflow's client for any other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..config import Paths
from ..system.files import write_json
from .places import local_path, own_place
from .store import is_own

if TYPE_CHECKING:
    from mlflow import MlflowClient


def run_folder(client: MlflowClient, paths: Paths, run_id: str) -> Path | None:
    """The folder of a run's files on this machine; None where only MLflow's client reaches them."""
    return folder_of(paths, run_id, client.get_run(run_id).info.artifact_uri)


def folder_of(paths: Paths, run_id: str | None, address: str) -> Path | None:
    """As ``run_folder``, of an address that is known already.

    In the checkout's own store the address only says whether the files are on this machine.
    """
    place = local_path(address)
    return own_place(paths, run_id) if place is not None and is_own(paths) else place


def log_file(client: MlflowClient, paths: Paths, run_id: str, file: Path, inside: str = "") -> None:
    """Put a copy of a file beside a run."""
    folder = run_folder(client, paths, run_id)
    if folder is None:
        client.log_artifact(run_id, str(file), inside or None)
        return
    (folder / inside).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / inside / file.name)


def log_json(
    client: MlflowClient, paths: Paths, run_id: str, value: Mapping[str, Any], name: str
) -> None:
    """Put a JSON document beside a run."""
    with TemporaryDirectory() as folder:
        write_json(Path(folder) / name, value)
        log_file(client, paths, run_id, Path(folder) / name)
