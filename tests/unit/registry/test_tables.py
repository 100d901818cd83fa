"""A model names no patient; the tables that do lie with its run, and are held against hashes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.inference.bundle import TABLES
from hms_pipeline.registry import api, stage
from hms_pipeline.registry.package import BUNDLE
from hms_pipeline.registry.tables import training_tables
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.errors import InputError

from ...ensembles import Maker

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def maker(tmp_path_factory) -> Maker:
    """Version 1 without tables in its model, version 2 with them."""
    maker = Maker(tmp_path_factory.mktemp("maker"), n_patients=4)
    maker.vote(maker.train(1))
    maker.blend()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(stage.Judge, "judge", lambda *args: None)
        patch.setattr(stage, "_result", lambda registry, number: {})
        stage.run(maker.paths, maker.params)
        registry = maker.params.registry.model_copy(update={"with_ids": True})
        maker.params = maker.params.model_copy(update={"registry": registry})
        maker.ensemble(2)
        stage.run(maker.paths, maker.params)
    return maker


@pytest.fixture
def registry(maker: Maker) -> Registry:
    return Registry.open(maker.paths)


def tables_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.parquet") if path.is_file()]


def test_a_model_names_no_patient_unless_asked_to(maker: Maker) -> None:
    assert not tables_in(api.model_of(maker.paths, 1)[1])
    assert len(tables_in(api.model_of(maker.paths, 2)[1])) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_the_gate_finds_the_tables_of_either_kind(maker: Maker, registry, version: int) -> None:
    folder = training_tables(registry, registry.get(version))
    folds = pd.read_parquet(folder / TABLES[0])
    assert dict(zip(folds["label_id"], folds["fold"], strict=True)) == dict(
        zip(maker.folds["label_id"], maker.folds["fold"], strict=True)
    )
    oof = pd.read_parquet(folder / TABLES[1])
    assert set(oof["label_id"]) == set(maker.windows["label_id"])
    assert {"eeg_id", "patient_id", "fold"} <= set(oof.columns)


@pytest.mark.parametrize("name", TABLES)
def test_a_changed_or_missing_table_is_refused(registry, name: str) -> None:
    version = registry.get(1)
    path = training_tables(registry, version) / name
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        with pytest.raises(InputError, match=rf"version 1 must be .* {name} was changed"):
            training_tables(registry, version)
        path.unlink()
        with pytest.raises(InputError, match=f"{name} is missing"):
            training_tables(registry, version)
    finally:
        path.write_bytes(content)


def test_versions_that_saw_a_patient_are_listed(maker: Maker, registry) -> None:
    assert api.trained_on(maker.paths, 99) == []
    found = api.trained_on(maker.paths, 3)
    assert [(row["version"], row["windows"], row["held_out"]) for row in found] == [
        (2, 4, 1), (1, 4, 1),
    ]  # fmt: skip
    assert (registry.folder(registry.get(1)) / BUNDLE / "bundle.json").exists()


def test_a_removed_versions_tables_go_with_it(maker: Maker, registry) -> None:
    folder = training_tables(registry, registry.get(1))
    assert api.gc(maker.paths, keep=1) == [1]
    assert not tables_in(folder.parent)
