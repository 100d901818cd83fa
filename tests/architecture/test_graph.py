"""dvc.yaml against the code's imports and the recipe's catalogue."""

from pathlib import Path

import pytest
import yaml

from hms_pipeline.config import load_params

from .imports import ROOT, closure, room_of

ENTRIES = {  # stage -> the modules that its command runs, besides the command line itself
    "validate": ("validation.stage",),
    "split": ("datasets.stage",),
    "features": ("features.stage",),
    "train": ("training.stage",),
    "ensemble": ("ensemble.stage", "report.plots"),
    "register": ("registry.stage",),
}
RECIPES = sorted([ROOT / "params.yaml", *(ROOT / "recipes").glob("*.yaml")])


@pytest.fixture(scope="module")
def stages() -> dict:
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in graph.items()}


def test_every_stage_is_known(stages: dict) -> None:
    assert stages.keys() == ENTRIES.keys()


@pytest.mark.parametrize("name", ENTRIES)
def test_code_dependencies_are_the_rooms_imported(stages: dict, name: str) -> None:
    modules = closure(*(f"hms_pipeline.{entry}" for entry in ENTRIES[name]))
    rooms = {room_of(module) for module in modules}
    stated = {Path(dep).stem for dep in stages[name]["deps"] if dep.startswith("hms_pipeline/")}
    assert stated == rooms, f"Make {name}.deps in dvc.yaml name just these rooms: {sorted(rooms)}."


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_valid(path: Path) -> None:
    params = load_params(path)
    assert len(params.runs) == len(params.members) * params.split.n_folds


def test_committed_recipe_is_the_demo() -> None:
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "recipes" / "demo.yaml").read_bytes()


def test_full_recipe_is_the_designs() -> None:
    full = load_params(ROOT / "recipes" / "full.yaml")
    assert (len(full.members), full.split.n_folds) == (8, 10)
    assert [stage.epochs for stage in full.training.stages] == [5, 7]
    assert full.training.batch_size == 64
