"""Versions: what MLflow cannot say is no answer, and other models' names are refused."""

from __future__ import annotations

import errno
import os

import pytest

from hms_pipeline.registry import api, stage
from hms_pipeline.registry.doctor import WRONG, check_ledger
from hms_pipeline.registry.package import model_hashes
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.errors import InputError
from hms_pipeline.tracking.store import MODEL, experiment_id

from .conftest import write_small_model

pytestmark = pytest.mark.filterwarnings("ignore")


class Locked:
    """A client whose store is there, but does not say what it holds."""

    def create_registered_model(self, *args: object, **kwargs: object) -> None: ...

    def search_model_versions(self, *args: object, **kwargs: object):
        from mlflow.store.entities import PagedList

        return PagedList([], None)

    def __getattr__(self, name: str):
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

        def fail(*args: object, **kwargs: object) -> None:
            raise MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)

        return fail


@pytest.mark.parametrize("ask", [Registry.champion, Registry._create_model, lambda r: r.get(1)])
def test_a_locked_store_is_no_empty_one(shelf, ask):
    registry = Registry.of(shelf.paths, Locked())
    with pytest.raises(Exception, match="database is locked"):
        ask(registry)


def test_an_empty_store_has_no_champion_and_names_its_versions(shelf):
    assert shelf.registry.champion() is None
    assert shelf.add("one") == 1
    with pytest.raises(InputError, match=r"no version 7. Choose one of \[1\]"):
        shelf.registry.get(7)


@pytest.mark.parametrize("value", [3, "3", "models:/hms-ensemble/3"])
def test_numbers(shelf, value):
    for content in ("one", "two", "three"):
        shelf.add(content)
    assert int(shelf.registry.named(value).version) == 3


def test_aliases(shelf):
    for content in ("one", "two"):
        shelf.add(content)
    with pytest.raises(InputError, match=r"no alias 'champion', but \[\]"):
        shelf.registry.named(None)
    shelf.promote(1)
    for name in (None, "models:/hms-ensemble@champion"):
        assert int(shelf.registry.named(name).version) == 1


@pytest.mark.parametrize(
    "value",
    ["models:/other-model/3", "other/3", "models:/other@champion", "champion", "-1", "²", "9" * 30],
)
def test_what_names_no_version_of_this_model_is_refused(shelf, value):
    with pytest.raises(InputError, match=r"A version of hms-ensemble is needed, but got"):
        api.model_of(shelf.paths, value)[0]


def test_a_version_that_was_asked_for_twice_is_one(shelf, monkeypatch):
    """MLflow's client asks again where the server's answer is lost on the way."""
    from mlflow import MlflowClient

    honest = MlflowClient.create_model_version

    def twice(client: MlflowClient, name: str, *given: object, **more: object):
        if name == MODEL:
            honest(client, name, *given, **more)
        return honest(client, name, *given, **more)

    shelf.add("another")
    monkeypatch.setattr(MlflowClient, "create_model_version", twice)
    with Registry.changing(shelf.paths) as registry:
        run = registry.client.create_run(experiment_id(registry.client, shelf.paths)).info.run_id
        model = write_small_model(registry.staging / "model", "one")
        facts = {"content_hash": "one", **model_hashes(model)}
        stage.note_registered(registry, registry.create(run, model, facts))
    registry = shelf.registry
    assert [int(version.version) for version in registry.versions()] == [3, 1]
    assert not [found for found in check_ledger(registry) if found.state == WRONG]
    assert registry.verify(registry.get(3))


def test_a_twin_that_comes_late_takes_nothing_from_the_version_in_the_ledger(shelf):
    shelf.add("one")
    with Registry.changing(shelf.paths) as registry:
        first = registry.get(1)
        late = registry.client.create_model_version(
            MODEL, first.source, run_id=first.run_id, tags=first.tags
        )
        assert stage.note_registered(registry, late).version == first.version
    assert [int(version.version) for version in shelf.registry.versions()] == [1]


def test_a_store_on_another_disk_gets_a_copy(shelf, monkeypatch):
    def rename(*args: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with monkeypatch.context() as apart:
        apart.setattr(os, "rename", rename)
        assert shelf.add("one") == 1
    assert (shelf.registry.verify(shelf.registry.get(1)) / "MLmodel").read_text() == "one"
    assert not shelf.registry.staging.exists()
