"""dvc.yaml and the recipes against what they are made from."""

import pytest
import yaml

from hms_pipeline.config import load_params
from hms_pipeline.config.recipes import merge_patch, write_recipe
from hms_pipeline.config.training import TrainingParams
from tests.recipes import NAMES, ROOT, recipe

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in GRAPH.items()}


def test_no_stage_depends_on_a_folder_of_code() -> None:
    deps = {dep for stage in STAGES.values() for dep in stage.get("deps", ())}
    assert not [dep for dep in deps if dep.startswith("hms_pipeline")]


@pytest.mark.parametrize("name", sorted(STAGES.keys() - {"keys"}))
def test_every_stage_depends_on_the_key_of_its_code(name: str) -> None:
    stated = [entry for entry in STAGES[name]["params"] if isinstance(entry, dict)]
    key = {"features": "views.${key}", "train": "train.${key}"}.get(name, name)
    assert stated == [{"artifacts/keys.yaml": [key]}]


def test_student_depends_on_the_training_parameters_that_its_own_do_not_replace() -> None:
    stated = {entry for entry in STAGES["student"]["params"] if str(entry).startswith("training")}
    own = {"stages", "augmentation", "evaluate_every"}
    assert stated == {f"training.{name}" for name in TrainingParams.model_fields.keys() - own}


@pytest.mark.parametrize("name", STAGES)
def test_stages_run_the_code_of_their_folder(name: str) -> None:
    assert STAGES[name]["cmd"].startswith(f"python -m hms_pipeline {name}")


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_valid_and_named(name: str) -> None:
    assert recipe(name).recipe == name


def test_recipes_change_something_everywhere_they_speak() -> None:
    base = yaml.safe_load((ROOT / "recipes/base.yaml").read_text())
    for name in NAMES:
        for key, change in yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text()).items():
            assert merge_patch(base.get(key), change) != base.get(key), f"{name}.yaml: {key}"


def test_committed_recipe_is_the_demo(tmp_path) -> None:
    write_recipe(tmp_path / "params.yaml", recipe("demo"))
    committed = (ROOT / "params.yaml").read_bytes()
    assert committed == (tmp_path / "params.yaml").read_bytes(), "Run hms recipe demo."
    assert load_params(ROOT / "params.yaml") == recipe("demo")


def test_dvc_writes_a_recipe_back_to_the_byte(tmp_path) -> None:
    from dvc.utils.serialize import modify_yaml

    path = tmp_path / "params.yaml"
    write_recipe(path, recipe("demo"))
    before = path.read_text().splitlines()
    with modify_yaml(str(path)) as data:
        data["ensemble"]["bootstrap"] = 777
    after = path.read_text().splitlines()
    changed = [line for line, other in zip(after, before, strict=True) if line != other]
    assert changed == ["  bootstrap: 777"]


def test_full_recipe_is_the_designs() -> None:
    full = recipe("full")
    assert (len(full.members), full.split.n_folds) == (8, 10)
    assert [stage.epochs for stage in full.training.stages] == [5, 7]
    assert full.training.batch_size == 64
