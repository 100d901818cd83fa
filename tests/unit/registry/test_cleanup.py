"""What `hms gc` removes, here and in artifact stores elsewhere."""

from __future__ import annotations

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion

from hms_pipeline.registry import api, cleanup, versions
from hms_pipeline.registry.versions import Registry, fetched_as
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import atomic
from hms_pipeline.tracking.store import MODEL, experiment_id
from hms_pipeline.training.finished import fold_key, write_manifest

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
    """Two versions, the older one superfluous, and what a killed registration left."""
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
    return runs, removed


def test_what_was_fetched_from_one_server_is_never_taken_for_anothers(shelf, bucket, monkeypatch):
    fetched = []

    def download(artifact_uri: str, dst_path: str) -> None:
        (Path(dst_path) / "model").mkdir()
        (Path(dst_path) / "model" / "MLmodel").write_text(artifact_uri)
        fetched.append(artifact_uri)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    registry = shelf.registry
    here = registry.get(1)
    source = f"{BUCKET}-of-another/model"
    there = ModelVersion(here.name, here.version, 0, source=source, run_id="f" * 32)
    for version in (here, there, here, there):
        assert (registry.folder(version) / "MLmodel").read_text() == version.source
    assert fetched == [here.source, source]


def test_models_in_a_bucket_go_without_a_download(shelf, bucket):
    runs, removed = bucket
    for version in shelf.registry.versions():
        (shelf.registry.fetched / fetched_as(version) / "model").mkdir(parents=True)
    assert api.gc(shelf.paths, keep=1) == [1]
    gone = (runs[0], runs[2])
    places = {f"{BUCKET}/{r}/artifacts/{name}" for r in gone for name in ("model", "training")}
    assert set(removed) == places
    assert [path.name for path in shelf.registry.fetched.iterdir()] == [f"{MODEL}-2-{runs[1]}"]


def test_trainings_go_only_where_nothing_names_or_writes_them(shelf, monkeypatch):
    inputs = {"views": "present"}
    monkeypatch.setattr(cleanup, "member_inputs", lambda *_: inputs)
    linked = {"member": "gone", "fold": 3, "inputs": {"views": "earlier"}}
    write_manifest(shelf.paths.fold("gone", 3), linked)
    named = {fold_key(inputs, "v2s-spec", 0), fold_key(linked["inputs"], "gone", 3)}
    for folder in (shelf.paths.checkpoints, shelf.paths.finished):
        for name in (*named, "old", "young"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").touch()
            if name != "young":
                age(folder / name, 2)
    api.gc(shelf.paths, keep=1)
    for folder in (shelf.paths.checkpoints, shelf.paths.finished):
        assert {path.name for path in folder.iterdir()} == named | {"young"}


def test_checkpoints_stay_where_the_present_inputs_cannot_be_read(shelf):
    folder = shelf.paths.checkpoints / "old"
    folder.mkdir(parents=True)
    age(folder, 2)
    api.gc(shelf.paths, keep=1)
    assert folder.exists()


def test_compiled_code_goes_when_it_is_unused_or_too_large(shelf, monkeypatch):
    folder = shelf.paths.compiled
    folder.mkdir(parents=True)
    (folder / "kernel.so").write_bytes(bytes(100))
    api.gc(shelf.paths, keep=5)
    age(folder, days=20)
    api.gc(shelf.paths, keep=5)
    assert folder.exists()
    monkeypatch.setattr(cleanup, "COMPILED_BYTES", 99)
    age(folder, days=0.01)  # a quarter of an hour: a training may be reading it
    api.gc(shelf.paths, keep=5)
    assert folder.exists()
    age(folder, days=0.1)
    api.gc(shelf.paths, keep=5)
    assert not folder.exists()
    folder.mkdir()
    (folder / "kernel.so").write_bytes(b"")
    age(folder, days=40)
    api.gc(shelf.paths, keep=5)
    assert not folder.exists()


def test_a_damaged_copy_is_fetched_once_by_all_who_find_it(shelf, monkeypatch):
    """While one replaces it, the others wait; none sees half of it."""
    shelf.add("one")
    version = shelf.registry.get(1)
    copy = shelf.registry.fetched / fetched_as(version) / "model"
    fetched = []

    def fetch(source, target):
        fetched.append(source)
        with atomic(target) as temporary:
            (temporary / "model").mkdir(parents=True)
            time.sleep(0.05)
            (temporary / "model" / "file").write_text("sound")

    def check(model, recorded):
        if (model / "file").read_text() != "sound":
            raise InputError("It was changed.")

    monkeypatch.setattr(versions, "_fetch", fetch)
    monkeypatch.setattr(versions, "check_model", check)
    monkeypatch.setattr(versions, "folder_of", lambda *args: None)
    for _ in range(3):
        shelf.registry.verify(version)
        fetched.clear()
        (copy / "file").write_text("spoiled")
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(shelf.registry.verify, [version] * 4)) == {copy}
        assert len(fetched) == 1
