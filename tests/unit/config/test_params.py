from pathlib import Path

import pytest
import yaml

from hms_pipeline.config import load_params, parse_params
from hms_pipeline.schema import InputError

DEMO = Path(__file__).parents[3] / "params.yaml"


@pytest.fixture
def recipe() -> dict:
    return yaml.safe_load(DEMO.read_text())


def test_params_are_frozen() -> None:
    params = load_params(DEMO)
    with pytest.raises(ValueError, match="frozen"):
        params.split.n_folds = 7


def test_unknown_key_is_named_with_its_path(recipe: dict) -> None:
    recipe["split"]["n_fold"] = 3
    with pytest.raises(InputError, match=r"unknown key 'split\.n_fold'"):
        parse_params(recipe)


def test_missing_key_is_named_with_its_path(recipe: dict) -> None:
    del recipe["training"]["batch_size"]
    with pytest.raises(InputError, match=r"missing key 'training\.batch_size'"):
        parse_params(recipe)


def test_yaml_text_number_is_refused(recipe: dict) -> None:
    recipe["training"]["weight_decay"] = yaml.safe_load("1e-3")  # PyYAML reads text
    with pytest.raises(InputError, match=r"training\.weight_decay.*\"1e-3\""):
        parse_params(recipe)


def test_run_that_disagrees_with_members_is_refused(recipe: dict) -> None:
    recipe["runs"]["eegnet-0"] = recipe["runs"]["eegnet-0"] | {"a": "mel"}
    with pytest.raises(InputError, match=r"runs\.eegnet-0 must be"):
        parse_params(recipe)


def test_member_with_unknown_view_is_refused(recipe: dict) -> None:
    recipe["members"]["eegnet"]["views"] = ["banana"]
    with pytest.raises(InputError, match="banana"):
        parse_params(recipe)


@pytest.mark.parametrize("text", ["a: [1", "", "- 1"])
def test_broken_files_give_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_params(path)
    assert "\n" not in str(error.value)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--params"):
        load_params(tmp_path / "params.yaml")
