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
    return with_store(tmp_path, empty_store)


def with_store(root: Path, empty_store: Path) -> Shelf:
    """A project in a folder, whose registry is empty."""
    paths = at(root)
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


@pytest.fixture(scope="session")
def of_two(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion is the second of two versions; tests change copies of it."""
    root = tmp_path_factory.mktemp("of-two")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        made = with_store(root, empty_store)
        for content in ("one", "two"):
            made.add(content)
        made.promote(1)
        made.promote(2)
    return root


@pytest.fixture
def project(of_two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A copy of ``of_two`` in a folder of its own, which its store names."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    paths = at(shutil.copytree(of_two, tmp_path / "project"))
    places.move_addresses(database(paths))
    (paths.mlruns / places.KEPT).unlink()
    return Shelf(paths)


def copied(project, name: str):
    root = project.paths.params.parent
    shutil.copytree(root, root.parent / name, symlinks=True)
    return replace(project, paths=at(root.parent / name))
