"""Files that no version and no present training needs any more."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Paths, load_params
from ..system.errors import InputError
from ..tracking.places import local_path
from ..tracking.runs import KIND, find_runs
from ..tracking.store import MODELS, folder_of, is_own
from ..training.finished import fold_key, member_inputs, read_manifest
from .tables import TRAINING
from .versions import Registry, fetched_as

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)
DAY_S = 86_400.0
COMPILED_BYTES = 4e9  # compiled code that is kept; one network takes 200 MB


def remove_models(registry: Registry) -> None:
    """Remove the model folders of register runs that no version names, wherever they lie.

    Of the checkout's own store only folders inside ``mlruns`` are removed.
    """
    versions = [version for model in MODELS for version in registry.versions(model)]
    there = {_place(version.source) for version in versions}
    named = {version.run_id for version in versions}
    client = registry.client
    runs = find_runs(client, registry.paths, {KIND: "register"})
    registry.decisions.check()  # no other machine may have begun one of these runs meanwhile
    for run in runs:
        if run.info.run_id in named or _place(f"{run.info.artifact_uri}/model") in there:
            continue
        try:
            _remove_model(registry, run)
        except Exception as err:  # every store has its own errors; continue with the other runs
            log.warning("The model of run %s is not removed: %s", run.info.run_id, err)
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")


def _place(uri: str) -> str:
    """One spelling of where artifacts lie."""
    folder = local_path(uri)
    return uri.rstrip("/") if folder is None else str(folder.resolve())


def _remove_model(registry: Registry, run: Run) -> None:
    folder = folder_of(registry.paths, run.info.run_id, run.info.artifact_uri)
    if folder is not None and is_own(registry.paths):
        for part in (folder / "model", folder / TRAINING):
            if not part.resolve().is_relative_to(registry.paths.mlruns.resolve()):
                raise InputError(f"{part} leads out of {registry.paths.mlruns}. Remove it by hand.")
            if part.is_dir():
                shutil.rmtree(part)
        return
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = registry.client.tracking_uri
    artifacts = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
    for folder in ("model", TRAINING):
        if artifacts.list_artifacts(folder):
            artifacts.delete_artifacts(folder)


def remove_fetched(registry: Registry) -> None:
    """Remove fetched copies of versions that this server lacks, and what killed fetches left."""
    there = {fetched_as(version) for model in MODELS for version in registry.versions(model)}
    for path in registry.fetched.glob("*"):
        left = path.name.startswith(".tmp-")
        if path.name.removesuffix(".lock") in there or (left and _age_s(path) <= DAY_S):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_trainings(paths: Paths) -> None:
    """Remove what no present training can use and none has written for a day.

    These are checkpoints of trainings with other inputs, and finished folds that neither the
    recipe nor the folder ``members`` names.
    """
    old = [
        path
        for folder in (paths.checkpoints, paths.finished)
        for path in folder.glob("*")
        if path.is_dir() and _age_s(path) > DAY_S
    ]
    if not old:
        return
    try:
        named = set(_present(paths)) | set(_linked(paths))
    except (InputError, OSError) as err:
        log.warning("Checkpoints and folds stay, for the present ones are not known: %s", err)
        return
    for folder in old:
        if folder.name not in named and _age_s(folder) > DAY_S:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def remove_compiled(paths: Paths) -> None:
    """Remove all compiled code if it is too large, or unused for a month.

    Whoever needs it compiles it again. What was used within the last hour may be in use: it stays.
    """
    idle_s = _age_s(paths.compiled)
    size = sum(map(_size, paths.compiled.rglob("*")))
    if idle_s > 30 * DAY_S or (idle_s > DAY_S / 24 and size > COMPILED_BYTES):
        shutil.rmtree(paths.compiled, ignore_errors=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a training that compiles replaces its files
        return 0


def _present(paths: Paths) -> Iterator[str]:
    """Keys of the trainings that the recipe names."""
    params = load_params(paths.params)
    inputs = {member: member_inputs(paths, params, member) for member in params.members}
    for member, fold in params.trainings:
        yield fold_key(inputs[member], member, fold)


def _linked(paths: Paths) -> Iterator[str]:
    """Keys of the trainings in ``members`` and of the students."""
    students = (path.parent for path in paths.student.ensemble.glob("*/manifest.json"))
    for folder in (*paths.members.glob("*/fold-*"), *students):
        manifest = read_manifest(folder)
        yield fold_key(manifest["inputs"], manifest["member"], manifest["fold"])


def _age_s(folder: Path) -> float:
    """Time since something in a folder was last written."""
    return time.time() - max(_times([folder, *folder.rglob("*")]), default=0.0)


def _times(paths: Iterable[Path]) -> Iterator[float]:
    for path in paths:
        try:
            yield path.stat().st_mtime
        except FileNotFoundError:  # a training replaced or finished it just now
            yield time.time()
