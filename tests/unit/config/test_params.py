import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hms_pipeline.config import Params, load_params, parse_params
from hms_pipeline.system.errors import InputError
from tests.recipes import HOSTILE, places, put, unbounded
from tests.recipes import recipe as recipe_named

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


def test_member_with_unknown_view_is_refused(recipe: dict) -> None:
    recipe["members"]["eegnet"]["views"] = ["banana"]
    with pytest.raises(InputError, match="banana"):
        parse_params(recipe)


@pytest.mark.parametrize("text", ["a: [1", "", "- 1", "2024-01-09: 1", "&a [*a]", "a: &b {c: *b}"])
def test_broken_files_give_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_params(path)
    assert "\n" not in str(error.value)
    assert ": :" not in str(error.value)
    assert ".." not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a recipe needs sections of keys, but the file holds null. Copy one of recipes/"),
        ("2024-01-09: 1", "keys that are text .* not datetime.date. Quote the key"),
    ],
)
def test_what_is_no_recipe_says_what_to_do(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_params(path)


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan"])
def test_numbers_are_finite(recipe: dict, text: str) -> None:
    recipe["training"]["clip_norm"] = yaml.safe_load(text)
    with pytest.raises(InputError, match=r"training\.clip_norm: .*finite"):
        parse_params(recipe)


@pytest.mark.parametrize("bounds", [[2000.0, 5.0], [5.0, 5.0]])
@pytest.mark.parametrize("keys", [("validation", "outcome"), ("scoring",)])
def test_amplitudes_ascend(recipe: dict, keys: tuple[str, ...], bounds: list[float]) -> None:
    section = recipe
    for key in keys:
        section = section[key]
    section["amplitude_uv"] = bounds
    words = rf"{keys[-1]}\.amplitude_uv: .*must be below the second, but is \[{bounds[0]:g}"
    with pytest.raises(InputError, match=words):
        parse_params(recipe)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--params"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("split: {n_folds: 3, seed: 7}", "key 'split' stands twice in line"),
        ("a: b: c", "mapping values are not allowed here in line"),
        ("a: [", "line"),
    ],
)
def test_what_is_no_recipe_in_yaml_is_said_with_its_line(tmp_path, added: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"{DEMO.read_text()}\n{added}\n")
    with pytest.raises(InputError, match=f"params.yaml is not valid YAML: .*{said}"):
        load_params(path)


def test_the_starters_recipe_does_not_start_from_the_starter() -> None:
    data = recipe_named("starter").model_dump(mode="json")
    data["student"]["pretrained"] = "starter"
    with pytest.raises(InputError, match=r"student\.pretrained must not be 'starter'"):
        parse_params(data)


def test_a_students_view_has_to_be_in_the_recipe() -> None:
    data = recipe_named("tiny").model_dump(mode="json")
    data["student"]["views"] = ["banana"]
    with pytest.raises(InputError, match=r"student\.views names 'banana'"):
        parse_params(data)


FREE = re.compile(r"views\.0\.patternProperties|Params\.0\.properties\.0\.(model|augmentation)")


def test_every_count_text_and_list_of_a_recipe_has_an_upper_bound():
    found = [at for at in unbounded(Params.model_json_schema()) if not FREE.search(at)]
    assert found == []  # options of views, networks and augmentations: tests/contract


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "values, aliases written out"),
        ("text: &t " + 5000 * "x" + "\nlist: [" + 100 * "*t, " + "]\n", "values, aliases"),
        (MERGES, "no text, or <<"),
        (20_000 * "[", "nests too deep"),
        ("a: " + 200 * "[" + 200 * "]", "nests deeper"),
        ("a: 2023-99-99\n", "not valid YAML"),
        ("a: " + 5000 * "9" + "\n", "not valid YAML"),
        ("? [a]\n: b\n", "no text, or <<"),
        ("a: " + 2**20 * "x", "more than 1048576 bytes"),
    ],
)
def test_a_recipe_takes_no_more_memory_than_its_limits(tmp_path: Path, text: str, said: str):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("recipe",), "../../evil"),
        (("split", "n_folds"), 10**9),
        (("split", "seed"), 2**70),
        (("training", "batch_size"), 10**9),
        (("training", "threads"), 10**6),
        (("ensemble", "bootstrap"), 10**9),
        (("gate", "n_bootstrap"), 10**9),
        (("sample", "patients"), 10**9),
        (("scoring", "max_rows"), 10**9),
        (("drift", "n_bins"), 10**9),
    ],
)
def test_a_value_beyond_its_limit_is_named(recipe: dict, keys: tuple[str, ...], value: object):
    section = recipe
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(InputError, match=re.escape(".".join(keys))):
        parse_params(recipe)


@pytest.mark.parametrize("section", ["views", "members"])
def test_a_name_that_is_a_path_is_refused(recipe: dict, section: str):
    recipe[section]["../../evil"] = next(iter(recipe[section].values()))
    with pytest.raises(InputError, match=rf"{section}\.\.\./\.\./evil"):
        parse_params(recipe)


WHOLE = yaml.safe_load(DEMO.read_text(encoding="utf-8"))


@given(draw=st.data())
@settings(max_examples=40, deadline=None)
def test_any_value_in_any_place_is_taken_or_refused_in_one_sentence(draw: st.DataObject) -> None:
    at = draw.draw(st.sampled_from(list(places(WHOLE))))
    try:
        parse_params(put(WHOLE, at, draw.draw(st.sampled_from(HOSTILE))))
    except InputError as err:
        said = str(err)
        assert "\n" not in said
        assert len(said) < 600
        assert str(at[0]) in said
