"""A registry with small versions, on a real MLflow store that is made once and copied."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hms_pipeline.config import Paths
from hms_pipeline.inference.bundle import CHECKSUMS
from hms_pipeline.registry.decisions import SOURCE
from hms_pipeline.registry.package import BUNDLE, model_hashes
from hms_pipeline.registry.promotion import promote, rollback
from hms_pipeline.registry.tables import TRAINING
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.files import write_json
from hms_pipeline.tracking import places
from hms_pipeline.tracking.store import database, experiment_id, open_store
from tests.recipes import write

ROOT = Path(__file__).parents[3]


def write_small_model(folder: Path, content: str) -> Path:
    """A model folder that verifies, without a network in it; beside it no training's tables."""
    folder.with_name(TRAINING).mkdir(parents=True, exist_ok=True)
    (folder / BUNDLE).mkdir(parents=True)
    (folder / "MLmodel").write_text(content)
    write_json(folder / BUNDLE / CHECKSUMS, {})
    return folder


@dataclass(frozen=True)
class Shelf:
    """A project's registry."""

    paths: Paths

    @property
    def registry(self) -> Registry:
        return Registry.open(self.paths)

    def add(self, content: str) -> int:
        """Register a small version."""
        with Registry.changing(self.paths) as registry:
            client = registry.client
            tags = {"hms.kind": "register"}
            run = client.create_run(experiment_id(client, self.paths), tags=tags)
            model = write_small_model(registry.staging / "model", content)
            facts = {"content_hash": content, "networks_hash": content, **model_hashes(model)}
            version = registry.create(run.info.run_id, model, facts)
            recorded = {"content_hash": content, "files_sha256": facts["files_sha256"]}
            registry.ledger.append("register", version=int(version.version), **recorded)
            client.set_terminated(run.info.run_id)
        return int(version.version)

    def promote(self, version: int, kind: str = "gate") -> None:
        with Registry.changing(self.paths) as registry:
            promote(registry, registry.get(version), "it is better", kind)

    def rollback(self) -> int:
        with Registry.changing(self.paths) as registry:
            return rollback(registry, "it is worse")

    def actions(self) -> list[str]:
        return [record["action"] for record in self.registry.ledger.read()]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_store(Paths(root / "data", root / "artifacts", root / "params.yaml"))
    return root / "mlruns" / "mlflow.db"


@pytest.fixture
def shelf(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    paths = Paths(tmp_path / "data", tmp_path / "artifacts", tmp_path / "params.yaml")
    paths.mlruns.mkdir()
    write(paths.params)
    shutil.copyfile(empty_store, paths.mlruns / empty_store.name)
    connection = sqlite3.connect(paths.mlruns / empty_store.name)
    with connection:
        artifacts = (paths.mlruns / "artifacts").as_uri()
        connection.execute("UPDATE experiments SET artifact_location = ?", (artifacts,))
    connection.close()
    return Shelf(paths)


def at(root: Path) -> Paths:
    return Paths(root / "data", root / "artifacts", root / "params.yaml")


def stamp(folder: Path) -> dict[str, str]:
    """Every file's hash; sqlite's own helpers come and go when a database is read."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def addresses(paths: Paths) -> list[str]:
    with closing(sqlite3.connect(database(paths))) as link:
        return [
            uri
            for table, column in places.ADDRESSES
            for (uri,) in link.execute(f"SELECT {column} FROM {table}")
            if uri and "REDACTED" not in uri and uri != SOURCE
        ]


@pytest.fixture
def project(shelf, tmp_path):
    """A project in a folder of its own, whose champion is the second of two versions."""
    root = tmp_path / "project"
    root.mkdir()
    for path in (shelf.paths.mlruns, shelf.paths.params):
        path.rename(root / path.name)
    found = replace(shelf, paths=at(root))
    for content in ("one", "two"):
        found.add(content)
    found.promote(1)
    found.promote(2)
    (found.paths.mlruns / places.KEPT).unlink()  # the move above turned it
    return found


def copied(project, name: str):
    root = project.paths.params.parent
    shutil.copytree(root, root.parent / name, symlinks=True)
    return replace(project, paths=at(root.parent / name))
