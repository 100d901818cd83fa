"""Where a rollback goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hms_pipeline.config import Paths
from hms_pipeline.registry import api
from hms_pipeline.registry.ledger import Ledger
from hms_pipeline.registry.promotion import predecessor
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.errors import InputError
from hms_pipeline.tracking.store import experiment_id

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_version_promoted_again_by_hand_is_the_predecessor_again(shelf):
    for content in ("one", "two", "three"):
        shelf.add(content)
    shelf.promote(1)
    shelf.promote(2)
    assert shelf.rollback() == 1
    shelf.promote(2, "manual")
    shelf.promote(3)
    assert predecessor(shelf.registry) == 2
    assert api.gc(shelf.paths, keep=1) == [1]
    assert shelf.rollback() == 2


def test_rollbacks_go_back_one_by_one_and_never_to_what_was_rolled_back(shelf):
    for content in ("one", "two", "three"):
        shelf.add(content)
    for version in (2, 1, 2, 3):
        shelf.promote(version)
    assert [shelf.rollback(), shelf.rollback()] == [2, 1]
    with pytest.raises(InputError, match="none left"):
        shelf.rollback()


def test_the_list_says_rolled_back_until_it_is_promoted_again(shelf):
    for content in ("one", "two"):
        shelf.add(content)
    shelf.promote(1)
    shelf.promote(2)
    shelf.rollback()
    verdicts = [version["verdict"] for version in api.list_versions(shelf.paths)]
    assert verdicts == ["undecided, rolled back", "undecided"]
    shelf.promote(2, "manual")
    assert {version["verdict"] for version in api.list_versions(shelf.paths)} == {"undecided"}


def test_a_rollback_that_was_killed_is_finished_with_its_mark(shelf, monkeypatch):
    for content in ("one", "two"):
        shelf.add(content)
    shelf.promote(1)
    shelf.promote(2)
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "mark", lambda self, facts: killed_here())
        with pytest.raises(KeyboardInterrupt):
            shelf.rollback()
    shelf.add("three")  # the next change finishes it
    assert shelf.registry.champion() == 1
    assert api.list_versions(shelf.paths)[1]["verdict"] == "undecided, rolled back"


def killed_here() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def other(shelf, tmp_path, monkeypatch):
    """Another checkout on the same MLflow store."""
    store = shelf.paths.mlruns / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    root = tmp_path / "other"
    return replace(shelf, paths=Paths(root / "data", root / "artifacts", shelf.paths.params))


def test_another_checkout_knows_what_was_decided(shelf, other):
    for content in ("one", "two"):
        shelf.add(content)
    shelf.promote(1)
    shelf.promote(2)
    shelf.rollback()
    other.add("three")
    assert other.actions()[: len(shelf.actions())] == shelf.actions()
    assert other.registry.ledger.barred("two", "two", "t")
    other.promote(3)
    assert other.rollback() == 1
    shelf.add("four")
    assert shelf.registry.ledger.champions() == other.registry.ledger.champions()


def test_a_ledgers_file_that_went_on_apart_is_refused(shelf, other):
    shelf.add("one")
    shelf.promote(1)
    Ledger(shelf.paths.ledger).append("register", version=9, content_hash="nine")
    other.promote(other.add("two"))
    with pytest.raises(InputError, match="need to begin alike, but differ: both went on apart"):
        shelf.promote(1)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_ledgers_file_that_lags_behind_is_brought_up(shelf, kept):
    shelf.add("one")
    shelf.promote(1)
    lines = shelf.paths.ledger.read_bytes().splitlines(keepends=True)
    shelf.paths.ledger.write_bytes(b"".join(lines[:kept]))
    assert shelf.actions() == ["register", "intent", "commit"]
    shelf.add("two")
    assert shelf.paths.ledger.read_bytes().splitlines(keepends=True)[:3] == lines


def test_a_ledger_of_before_goes_into_the_store(shelf, other):
    """An earlier release wrote the file alone."""
    Ledger(shelf.paths.ledger).append("refuse", version=7, content_hash="seven", reasons=[])
    shelf.add("one")
    assert other.actions() == ["refuse", "register"]


def test_a_servers_ledger_of_before_is_taken_over(other, tmp_path):
    """An earlier release kept it as a file of the run named ledger."""
    former = Ledger(tmp_path / "ledger.jsonl")
    for version in (1, 2):
        former.append("refuse", version=version, content_hash=str(version), reasons=[])
    client = other.registry.client
    run = client.create_run(experiment_id(client, other.paths), tags={"hms.kind": "ledger"})
    client.log_artifact(run.info.run_id, str(former.path))
    other.add("one")
    other.add("two")
    assert other.actions() == ["refuse", "refuse", "register", "register"]
    other.registry.ledger.need_whole()
