"""What `hms gc` removes, here and in artifact stores elsewhere."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from hms_pipeline.registry import api
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.files import hash_json
from hms_pipeline.tracking.store import MODEL, experiment_id
from hms_pipeline.training import fold_data

pytestmark = pytest.mark.filterwarnings("ignore")

BUCKET = "s3://bucket/mlflow"


def age(folder: Path, days: float) -> None:
    then = time.time() - 86_400 * days
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then))


def models(shelf) -> set[Path]:
    return {path.parent for path in shelf.paths.mlruns.rglob("MLmodel")}


def test_folders_of_removed_versions_and_killed_registrations_go(shelf):
    for content in ("one", "two", "three"):
        shelf.add(content)
    shelf.promote(2)
    registry = shelf.registry
    client = registry.client
    run = client.create_run(experiment_id(client, shelf.paths), tags={"hms.kind": "register"}).info
    client.log_text(run.run_id, "left by a kill", "model/MLmodel")
    client.log_text(run.run_id, "stays", "ensemble/metrics.json")
    assert api.gc(shelf.paths, keep=1) == [1]
    assert models(shelf) == {registry.folder(registry.get(n)) for n in (2, 3)}
    assert client.get_run(run.run_id).info.status == "KILLED"
    assert client.list_artifacts(run.run_id, "ensemble")


@pytest.fixture
def bucket(shelf, monkeypatch):
    """Two versions, the older one superfluous, and a fresh registration of another machine."""
    with sqlite3.connect(shelf.paths.mlruns / "mlflow.db") as connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (BUCKET,))
    connection.close()
    registry = shelf.registry
    client = registry.client
    runs = []
    for content in ("one", "two", None):
        run = client.create_run(
            experiment_id(client, shelf.paths), tags={"hms.kind": "register"}
        ).info
        runs.append(run.run_id)
        if content:
            with Registry.changing(shelf.paths):
                tags = {"content_hash": content}
                client.create_model_version(
                    MODEL, f"{run.artifact_uri}/model", run_id=run.run_id, tags=tags
                )
            client.set_terminated(run.run_id)
    removed = []

    class Repository:
        def __init__(self, uri: str, tracking_uri: str) -> None:
            self.uri = uri

        def list_artifacts(self, path: str) -> list[str]:
            return [path]

        def delete_artifacts(self, path: str) -> None:
            removed.append(f"{self.uri}/{path}")

    def download(**kwargs: object) -> None:
        raise AssertionError("gc downloads nothing")

    monkeypatch.setattr(
        "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository", Repository
    )
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    monkeypatch.setattr(Registry, "log_ledger", lambda self: None)
    return runs, removed


def test_models_in_a_bucket_go_without_a_download(shelf, bucket):
    runs, removed = bucket
    for number in (1, 2):
        (shelf.registry.fetched / f"{MODEL}-{number}" / "artifacts").mkdir(parents=True)
    assert api.gc(shelf.paths, keep=1) == [1]
    places = [f"{BUCKET}/{runs[0]}/artifacts/{name}" for name in ("model", "training")]
    assert removed == places
    assert [path.name for path in shelf.registry.fetched.iterdir()] == [f"{MODEL}-2"]


def test_checkpoints_go_only_where_nothing_resumes_or_writes_them(shelf, monkeypatch):
    class Data:
        inputs = {"views": "present"}

    monkeypatch.setattr(fold_data, "read_fold_data", lambda *args, verify: Data)
    present = hash_json(["v2s-spec-0", Data.inputs])
    for name in (present, "old", "young"):
        (shelf.paths.checkpoints / name).mkdir(parents=True)
        (shelf.paths.checkpoints / name / "checkpoint.safetensors").touch()
    age(shelf.paths.checkpoints / present, 2)
    age(shelf.paths.checkpoints / "old", 2)
    api.gc(shelf.paths, keep=1)
    assert {path.name for path in shelf.paths.checkpoints.iterdir()} == {present, "young"}


def test_checkpoints_stay_where_the_present_inputs_cannot_be_read(shelf):
    folder = shelf.paths.checkpoints / "old"
    folder.mkdir(parents=True)
    age(folder, 2)
    api.gc(shelf.paths, keep=1)
    assert folder.exists()
