"""A checkout that was moved, copied, linked or tampered with changes files of its own alone."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hms_pipeline.config import Paths, load_params
from hms_pipeline.registry import api
from hms_pipeline.registry.package import FILES, model_hashes
from hms_pipeline.system.errors import InputError
from hms_pipeline.tracking import places
from hms_pipeline.tracking.runs import FoldRun, start_retrain
from hms_pipeline.tracking.store import MODEL, database, elsewhere

from .conftest import addresses, at, copied, stamp

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", ["other", "project2", "with space"])
def test_a_copy_leaves_its_original_alone(project, name):
    copy, before = copied(project, name), stamp(project.paths.mlruns)
    copy.add("three")
    assert copy.rollback() == 1
    assert api.gc(copy.paths, keep=1) == [2]
    assert stamp(project.paths.mlruns) == before
    here = (copy.paths.mlruns / "artifacts").as_uri()
    assert all(uri.startswith(here) for uri in addresses(copy.paths))
    assert (copy.paths.mlruns / places.KEPT).exists()
    assert api.model_of(copy.paths)[0] == 1


def test_a_copy_of_a_copy_is_at_home_too(project):
    copied(project, "first").promote(1, "manual")
    second = copied(replace(project, paths=at(project.paths.params.parent.parent / "first")), "2nd")
    second.promote(2, "manual")
    assert api.model_of(project.paths)[0] == 2
    assert elsewhere(second.paths) == {}


def test_readers_need_no_repair_and_write_nothing(project):
    root = project.paths.params.parent
    moved = at(root.rename(root.with_name("moved")))
    before = stamp(moved.mlruns)
    number, folder = api.model_of(moved)
    assert (number, folder.is_relative_to(moved.mlruns)) == (2, True)
    assert [version["version"] for version in api.list_versions(moved)] == [2, 1]
    assert api.describe(moved, 2)["files"] == str(folder)
    assert stamp(moved.mlruns) == before


def test_a_link_to_the_checkout_turns_nothing(project, tmp_path):
    before = addresses(project.paths)
    link = tmp_path / "link"
    link.symlink_to(project.paths.params.parent)
    replace(project, paths=at(link)).promote(1, "manual")
    assert set(before) <= set(addresses(project.paths))
    assert not (project.paths.mlruns / places.KEPT).exists()
    assert elsewhere(at(link)) == {}


def test_a_store_recorded_by_another_name_of_the_same_folder_stays(project, tmp_path):
    """As a second mount: what the store recorded is this very folder."""
    link = tmp_path / "mount"
    link.symlink_to(project.paths.params.parent)
    with closing(sqlite3.connect(database(project.paths))) as db, db:
        for table, column in places.ADDRESSES:
            db.execute(f"UPDATE {table} SET {column} = replace({column}, '/project/', '/mount/')")
    before = addresses(project.paths)
    project.promote(1, "manual")
    assert set(before) <= set(addresses(project.paths))
    assert elsewhere(project.paths) == {}
    assert api.model_of(project.paths)[0] == 1


def test_a_store_that_cannot_be_written_is_read_and_refuses_changes(project, monkeypatch):
    honest, before = os.access, stamp(project.paths.mlruns)

    def access(path: Path, mode: int) -> bool:
        return honest(path, mode) and not mode & os.W_OK

    monkeypatch.setattr(os, "access", access)
    assert api.model_of(project.paths)[0] == 2
    for change in CHANGES.values():
        with pytest.raises(OSError, match="cannot be written"):
            change(project)
    assert stamp(project.paths.mlruns) == before


def test_a_checkout_without_a_store_lists_nothing_and_stays_without(tmp_path):
    assert api.list_versions(at(tmp_path)) == []
    with pytest.raises(InputError, match="Register a model first"):
        api.model_of(at(tmp_path))
    assert list(tmp_path.iterdir()) == []


CHANGES: dict[str, Callable] = {
    "promote": lambda shelf: shelf.promote(1, "manual"),
    "rollback": lambda shelf: shelf.rollback(),
    "register": lambda shelf: shelf.add("three"),
    "gc": lambda shelf: api.gc(shelf.paths, keep=1),
    "train": lambda shelf: start_retrain(shelf.paths, load_params(shelf.paths.params)),
}


# Columns of MLflow's whose names sound like an address, but where no file of ours is looked for.
OTHERS = {
    "runs.source_name", "datasets.dataset_source",  # what was run and read, as words
    "workspaces.default_artifact_root", "workspaces.trace_archival_location",  # a server's
    "evaluation_dataset_records.source", "mcp_access_endpoints.url", "mcp_server_versions.source",
    "webhooks.url",
}  # fmt: skip
NAMES = re.compile("(uri|url|path|folder|dir|location|root|artifacts?|source|source_name)$")


def test_every_address_column_of_mlflow_is_known(empty_store):
    """Fails where a new release of MLflow brings a column that may name files."""
    with closing(sqlite3.connect(empty_store)) as link:
        found = {
            f"{table}.{column}"
            for (table,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for _, column, *_ in link.execute(f"PRAGMA table_info({table})")
            if NAMES.search(column)
        }
    assert found == {".".join(place) for place in places.ADDRESSES} | OTHERS


def test_no_other_column_holds_an_address_of_the_project(project):
    """Whatever columns are called: after use, these hold paths of the checkout and no others."""
    fill(project)
    start_retrain(project.paths, load_params(project.paths.params))
    with closing(sqlite3.connect(database(project.paths))) as link:
        found = {
            f"{table}.{column}"
            for (table,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for _, column, *_ in link.execute(f"PRAGMA table_info({table})")
            for (value,) in link.execute(f"SELECT {column} FROM {table}")
            if str(project.paths.mlruns.parent) in str(value)
        }
    # The tag hms.checkout says whose run it is; nothing is looked for there.
    assert found == {".".join(place) for place in places.ADDRESSES} | {"tags.value"}


@pytest.mark.parametrize("address", ["s3://another/bucket", "mlflow-artifacts:/another"])
@pytest.mark.parametrize("place", places.ADDRESSES[1:], ids=".".join)
def test_a_bucket_is_elsewhere_unless_the_experiment_lies_in_it(project, place, address):
    fill(project)
    with closing(sqlite3.connect(database(project.paths))) as db, db:
        db.execute(f"UPDATE {place[0]} SET {place[1]} = ?", (f"{address}/model",))
    with pytest.raises(InputError, match=r"\.".join(place)):
        api.gc(project.paths, keep=1)
    assert elsewhere(project.paths).keys() == {".".join(place)}
    with closing(sqlite3.connect(database(project.paths))) as db, db:
        for table, column in places.ADDRESSES:
            db.execute(f"UPDATE {table} SET {column} = ?", (address,))
    assert elsewhere(project.paths) == {}


def fill(project) -> None:
    """Let every address column hold something."""
    client = project.registry.client
    client.create_logged_model(client.get_experiment_by_name("hms").experiment_id, name="one")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", places.ADDRESSES, ids=".".join)
def test_an_address_elsewhere_is_refused_and_nothing_moves(project, tmp_path, place, change):
    table, column = place
    outside = tmp_path / "outside" / "model"
    outside.mkdir(parents=True)
    (outside / "MLmodel").write_text("another's")
    fill(project)
    plant(project.paths, table, column, outside.parent)
    before, kept = stamp(outside.parent), stamp(project.paths.mlruns / "artifacts")
    with pytest.raises(InputError, match=rf"but {table}\.{column} of its database names"):
        CHANGES[change](project)
    assert (stamp(outside.parent), stamp(project.paths.mlruns / "artifacts")) == (before, kept)
    assert project.registry.champion() == 2
    assert api.model_of(project.paths)[1].is_relative_to(project.paths.mlruns)
    assert list(elsewhere(project.paths)) == [f"{table}.{column}"]


def plant(paths: Paths, table: str, column: str, outside: Path) -> None:
    with closing(sqlite3.connect(database(paths))) as db, db:
        rule = "name = 'hms'" if table == "experiments" else "true"
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {rule}", (outside.as_uri(),))


def test_a_training_goes_on_where_the_store_names_another_folder(project, tmp_path, caplog):
    plant(project.paths, "experiments", "artifact_location", tmp_path / "outside")
    run = FoldRun(project.paths, load_params(project.paths.params))
    run.on_start({"member": "eegnet", "fold": 0})
    assert run.run_id is None
    assert "training goes on without" in caplog.text
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_an_experiment_in_the_trash_is_told_before_anything_moves(project, change):
    client, actions = project.registry.client, project.actions()
    client.delete_experiment(client.get_experiment_by_name("hms").experiment_id)
    with pytest.raises(InputError, match=r"in MLflow's trash.*mlflow experiments restore"):
        CHANGES[change](project)
    assert (project.registry.champion(), project.actions()) == (2, actions)
    client.restore_experiment(client.get_experiment_by_name("hms").experiment_id)
    CHANGES[change](project)


def test_an_experiment_that_is_gone_is_made_anew_in_the_checkout(project, tmp_path, monkeypatch):
    with closing(sqlite3.connect(database(project.paths))) as db, db:
        db.execute("UPDATE experiments SET name = 'renamed' WHERE name = 'hms'")
    monkeypatch.chdir(tmp_path)
    project.promote(1, "manual")
    found = project.registry.client.get_experiment_by_name("hms")
    assert found.artifact_location == (project.paths.mlruns / "artifacts").as_uri()
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_ledger_refuses_what_would_write_into_it(project, change):
    ledger = project.registry.ledger.path
    ledger.write_text(ledger.read_text().replace("it is better", "it was better"))
    if change == "train":
        CHANGES[change](project)
        return
    with pytest.raises(InputError, match=r"ledger.*line \d of the ledger was changed"):
        CHANGES[change](project)
    assert project.registry.champion() == 2
    with pytest.raises(InputError, match=r"does not verify.*line \d of the ledger was changed"):
        api.model_of(project.paths)


def test_files_list_and_tags_rewritten_together_are_noticed(project):
    registry = project.registry
    folder = registry.folder(registry.get(2))
    (folder / "MLmodel").write_text("another's")
    hashes = model_hashes(folder)
    (folder / FILES).write_text(json.dumps({}))
    for key, value in hashes.items():
        registry.client.set_model_version_tag(MODEL, "2", key, value)
    for use in (
        lambda: api.model_of(project.paths),
        lambda: api.bundle_of(project.paths),
        lambda: project.promote(2, "manual"),
    ):
        with pytest.raises(InputError, match=r"version 2 does not verify.*the ledger holds"):
            use()


def test_an_alias_that_does_not_move_leaves_words_and_state_alike(project, monkeypatch):
    client = type(project.registry.client)

    def fail(*args: object) -> None:
        raise RuntimeError("the store is full")

    with monkeypatch.context() as full:
        full.setattr(client, "set_registered_model_alias", fail)
        with pytest.raises(RuntimeError):
            project.promote(1, "manual")
    assert project.registry.champion() == 2
    assert project.actions()[-1] == "abort"


def test_what_fails_after_the_alias_moved_is_told_and_finished_later(project, monkeypatch, caplog):
    def fail(*args: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(type(project.registry), "mark", fail)
        project.promote(1, "manual")
    assert "Version 1 is the champion, but" in caplog.text
    assert project.registry.champion() == 1
    project.add("three")
    assert project.registry.ledger.champions() == [1, 2, 1]
