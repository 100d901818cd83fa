"""What an edit makes run again: exactly what it touches, on the tiny recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from .conftest import Project

pytestmark = pytest.mark.slow
ALWAYS = ["keys", "register"]


@pytest.fixture
def project(warm_project: Project, tmp_path: Path) -> Project:
    return warm_project.copy(tmp_path / "project")


def repro(project: Project) -> tuple[list[str], str]:
    """The stages whose command ran, and all that was said."""
    said = project.run("dvc", "repro").stdout
    return re.findall(r"^Running stage '(.+)':", said, re.M), said


def stale(project: Project) -> set[str]:
    """Stages that are out of date by what lies there now, once the keys are written."""
    project.run("hms", "keys")
    changed = json.loads(project.run("dvc", "status", "--json").stdout)
    return {name.rpartition(":")[2] for name in changed} - set(ALWAYS)


def edit(project: Project, name: str, change: Callable[[str], str]) -> None:
    path = project.root / name
    before = path.read_text(encoding="utf-8")
    path.write_text(change(before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before


def set_param(project: Project, *keys: str, value: object) -> None:
    def change(text: str) -> str:
        recipe = part = yaml.safe_load(text)
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value
        return yaml.safe_dump(recipe, sort_keys=False)

    edit(project, "params.yaml", change)


def version(project: Project) -> int:
    return json.loads((project.root / "artifacts/registration.json").read_text())["version"]


def test_what_changes_nothing_computes_nothing(project: Project) -> None:
    first = version(project)
    edit(project, "hms_pipeline/features/views/bipolar.py", lambda text: f"# A comment.\n{text}")
    edit(
        project,
        "hms_pipeline/training/step.py",
        lambda text: text.replace('"""', '"""Another docstring. ', 1),
    )
    (project.root / "hms_pipeline/features/views/new.py").write_text(
        "from ..view import view\nfrom .bipolar import bipolar\n\n"
        'new = view("new", inputs=("eeg",), kind="waves")(bipolar)\n'
    )
    (project.root / "tests/test_new_name.py").write_text("")
    ran, said = repro(project)
    assert ran == ALWAYS
    assert "already registered" in said
    assert version(project) == first


def test_a_member_alone_runs_again_and_going_back_trains_nothing(project: Project) -> None:
    recipe = (project.root / "params.yaml").read_text()
    set_param(project, "members", "eegnet", "max_lr_scale", value=0.5)
    assert repro(project)[0] == ["keys", "train@eegnet", "ensemble", "student", "register"]
    (project.root / "params.yaml").write_text(recipe)
    ran, said = repro(project)
    assert ran == ALWAYS
    assert "Stage 'train@eegnet' is cached - skipping run" in said
    assert "already registered" in said


def test_code_of_one_view_is_that_view_and_its_readers(project: Project) -> None:
    edit(
        project,
        "hms_pipeline/features/views/bipolar.py",
        lambda text: re.sub(r"(\n    return )", r"\n    edited = 1\1", text, count=1),
    )
    ran = repro(project)[0]
    assert ran == ["keys", "features@bipolar", "train@eegnet", "ensemble", "student", "register"]


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("registry/gate.py", r"\n    return ", set()),
        (
            "datasets/augmentations/mixup.py",
            r"\n        return ",
            {"train@eegnet", "train@v2s-spec"},
        ),
        ("models/multi.py", r"\n        return ", set()),
        ("models/eegnet.py", r"\n        return ", {"train@eegnet"}),
        ("validation/rules/overlap.py", r"\n    return ", {"validate"}),
    ],
)
def test_an_edit_makes_stale_what_it_touches(
    project: Project, name: str, pattern: str, expected: set[str]
) -> None:
    indent = pattern.removesuffix("return ").lstrip("\\n")
    edit(
        project,
        f"hms_pipeline/{name}",
        lambda text: re.sub(f"({pattern})", f"\n{indent}edited = 1" + r"\1", text, count=1),
    )
    assert stale(project) == (
        expected | {"student"} if any("train" in x for x in expected) else expected
    )


def test_a_rule_that_finds_the_same_ends_there(project: Project) -> None:
    edit(
        project,
        "hms_pipeline/validation/rules/overlap.py",
        lambda text: re.sub(r"(\n    return )", r"\n    edited = 1\1", text, count=1),
    )
    assert repro(project)[0] == ["keys", "validate", "register"]


def test_a_new_member_is_trained_alone(project: Project) -> None:
    member = {"architecture": "eegnet", "views": ["bipolar"], "model": {"width": 4, "hidden": 8}}
    edit(
        project,
        "recipes/tiny.yaml",
        lambda text: text.replace("members:\n", f"members:\n  small: {json.dumps(member)}\n"),
    )
    project.run("hms", "recipe", "tiny")
    assert repro(project)[0] == ["keys", "train@small", "ensemble", "student", "register"]


def test_an_edit_after_the_keys_were_written_is_refused(project: Project) -> None:
    edit(
        project,
        "hms_pipeline/models/eegnet.py",
        lambda text: re.sub(r"(\n        return )", r"\n        edited = 1\1", text, count=1),
    )
    done = project.run("hms", "train", "eegnet", check=False)
    assert done.returncode == 1
    assert "another key of train.eegnet" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_experiment_leaves_the_registry_as_it_was(project: Project) -> None:
    lines = (project.root / "params.yaml").read_text().splitlines()
    models = project.run("hms", "models").stdout
    project.run("dvc", "exp", "run", "--temp", "-S", "ensemble.bootstrap=300")
    assert project.run("hms", "models").stdout == models
    assert (project.root / "params.yaml").read_text().splitlines() == lines
    shown = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    assert "kl" in json.dumps(shown)
    project.run("dvc", "exp", "run", "-S", "ensemble.bootstrap=300")  # its outputs are cached
    after = (project.root / "params.yaml").read_text().splitlines()
    assert [line for line in after if line not in lines] == ["  bootstrap: 300"]
    assert project.run("hms", "models").stdout == models
    page = (project.root / "docs" / "how-to" / "experiments.md").read_text(encoding="utf-8")
    (without_hashes,) = re.findall(r"--drop '(\S+)'", page)
    table = project.run("dvc", "exp", "show", "--csv", "--drop", without_hashes).stdout
    assert "ensemble.bootstrap" in table
    assert not re.search(r"\b[0-9a-f]{64}\b", table)
