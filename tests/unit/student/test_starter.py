"""The starter: packed without code, loaded by the package's own, and held to what it answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hms_pipeline.config import Params, Paths
from hms_pipeline.config.members import STARTER_FOLDER, weights_file
from hms_pipeline.inference import bundle
from hms_pipeline.models import build_model, load_pretrained
from hms_pipeline.registry.choice import STARTER_NOTE, choose
from hms_pipeline.registry.scoring import open_bundle
from hms_pipeline.student.starter import MOST_MB, example_probs, write_starter
from hms_pipeline.system.errors import InputError

Taught = tuple[Paths, Params]


@pytest.fixture(scope="module")
def starter(taught: Taught, tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths, params = taught
    folder = tmp_path_factory.mktemp("starter") / "starter"
    return write_starter(paths, params, folder, "Six real windows: not measured.")


def held(folder: Path) -> None:
    """Hold a starter to the answers that stand in its manifest."""
    stated = json.loads((folder / "manifest.json").read_text())["examples"]
    np.testing.assert_allclose(example_probs(open_bundle(folder, device="cpu")), stated, atol=1e-4)


def test_it_has_no_code_and_answers_as_it_states(starter: Path) -> None:
    assert not list(starter.rglob("*.py"))
    held(starter)
    card = (starter / "model_card.md").read_text()
    assert "simulated EEG alone" in card
    assert "Six real windows: not measured." in card


def test_an_edit_of_its_view_is_noticed(starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hms_pipeline.features import waves

    clip_scale = waves.clip_scale
    monkeypatch.setattr(
        waves, "clip_scale", lambda x, clip, scale: clip_scale(x, clip, 0.2 * scale)
    )
    with pytest.raises(AssertionError):
        held(starter)


def test_a_changed_or_absent_file_is_one_sentence(starter: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(starter, tmp_path / "starter")
    with (folder / "recipe.yaml").open("a") as stream:
        stream.write("\n")
    with pytest.raises(InputError, match=r"recipe\.yaml was changed"):
        open_bundle(folder)
    with pytest.raises(InputError, match="needs a bundle.json"):
        open_bundle(tmp_path / "nothing")


def _windows() -> list:
    from hms_pipeline.student.examples import example_windows

    return example_windows()


def test_only_a_project_without_anything_registered_gets_it(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "artifacts", tmp_path / "params.yaml")
    assert choose(paths, None).folder == STARTER_FOLDER
    assert choose(paths, None).note == STARTER_NOTE
    assert choose(paths, "champion").folder is None  # asked for, so never replaced
    paths.mlruns.mkdir()
    paths.ledger.write_text("")  # a ledger whose store is gone
    assert choose(paths, None).folder is None
    assert choose(paths, "starter").folder == STARTER_FOLDER
    assert choose(paths, "student@3").version == "3"
    assert choose(paths, "student").paths.model == "hms-student"
    assert choose(paths, "models:/hms-student@champion").paths.model == "hms-student"
    with pytest.raises(InputError, match="--model needs champion, student"):
        choose(paths, "banana")


def test_a_member_starts_from_it_where_it_fits(
    starter: Path, taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = taught[1]
    monkeypatch.setattr("hms_pipeline.config.members.STARTER_FOLDER", starter)
    own = params.for_student().members["student"]
    model = build_model(own, [(18, 2500)])
    assert load_pretrained(model, "starter", name="eegnet").loaded
    weights = bundle.read_bundle(starter).weights("student", 0)
    assert weights_file("starter") == weights
    other = build_model(own.model_copy(update={"model": {**own.model, "width": 8}}), [(18, 2500)])
    with pytest.raises(InputError, match=r"members\.eegnet\.pretrained: starter does not fit"):
        load_pretrained(other, "starter", name="eegnet")


def test_the_packages_own_starter() -> None:
    """Its weights come with the package; `hms student --starter` makes them again."""
    held(STARTER_FOLDER)
    size_mb = sum(path.stat().st_size for path in STARTER_FOLDER.rglob("*")) / 1e6
    assert size_mb <= MOST_MB
    assert not [path for path in STARTER_FOLDER.rglob("*") if path.suffix in (".py", ".pyc")]
