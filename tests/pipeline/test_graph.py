"""The whole graph on the tiny recipe, as a researcher runs it with DVC."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from hms_pipeline.schema import CLASSES, VOTE_COLUMNS

from .conftest import Project

pytestmark = pytest.mark.slow


def status(project: Project) -> set[str]:
    """Stages that `dvc status` calls changed, but for those that always run."""
    changed = json.loads(project.run("dvc", "status", "--json").stdout)
    return {name.rpartition(":")[2] for name in changed} - {"keys", "register"}


def test_second_repro_runs_only_what_always_runs(warm_project: Project) -> None:
    assert status(warm_project) == set()
    before = json.loads((warm_project.root / "artifacts/registration.json").read_text())
    output = warm_project.run("dvc", "repro").stdout
    ran = [line for line in output.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'keys':", "Running stage 'register':"]
    after = json.loads((warm_project.root / "artifacts/registration.json").read_text())
    assert after["version"] == before["version"]
    assert "already registered" in output


def test_oof_holds_every_window_once_and_folds_keep_patients_apart(tiny_project: Project) -> None:
    artifacts = tiny_project.root / "artifacts"
    windows = pd.read_parquet(artifacts / "validated/windows.parquet")
    folds = pd.read_parquet(artifacts / "split/folds.parquet")
    assert folds.groupby("patient_id").fold.nunique().max() == 1
    for member in (artifacts / "members").iterdir():
        oof = pd.concat(pd.read_parquet(path) for path in member.glob("fold-*/oof.parquet"))
        assert sorted(oof.label_id) == sorted(windows.label_id)
        assert (oof[list(CLASSES)].sum(axis=1) - 1).abs().max() < 1e-5


def test_one_views_parameter_touches_that_view_and_its_members(
    warm_project: Project, tmp_path: Path
) -> None:
    project = warm_project.copy(tmp_path / "project")
    params = project.root / "params.yaml"
    recipe = yaml.safe_load(params.read_text())
    key = next(k for k, v in recipe["views"]["bipolar"].items() if isinstance(v, float))
    recipe["views"]["bipolar"][key] *= 0.9
    params.write_text(yaml.safe_dump(recipe, sort_keys=False))
    assert status(project) == {"features@bipolar"}
    project.run("dvc", "repro", "features@bipolar")
    assert status(project) == {"train@eegnet", "student"}


def test_same_inputs_give_the_same_bytes(warm_project: Project, tmp_path: Path) -> None:
    project = warm_project.copy(tmp_path / "project")
    lock = (project.root / "dvc.lock").read_text()
    shutil.rmtree(project.root / "artifacts/.folds")  # so that every fold is trained again
    project.run("dvc", "repro", "--force")
    assert (project.root / "dvc.lock").read_text() == lock


def test_submission_is_valid_and_byte_stable(
    warm_project: Project, tiny_project: Project, tmp_path: Path
) -> None:
    texts = []
    for name, project in (("one.csv", warm_project), ("two.csv", tiny_project)):
        project.run("hms", "submission", "data", "--out", str(tmp_path / name))
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]
    submission = pd.read_csv(tmp_path / "one.csv")
    test = pd.read_csv(warm_project.root / "data/test.csv")
    assert list(submission) == ["eeg_id", *VOTE_COLUMNS]
    assert sorted(submission.eeg_id) == sorted(test.eeg_id)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("hms", "train", "eegnet", "99"), "99"),
        (("hms", "train", "banana", "0"), "banana"),
        (("hms", "--data", "nowhere", "validate"), "nowhere"),
        (("hms", "--params", "nowhere.yaml", "split"), "nowhere.yaml"),
        (("hms", "features", "banana"), "banana"),
        (("hms", "recipe", "banana"), "banana"),
        (("hms", "score", "nowhere.edf"), "nowhere.edf"),
        (("hms", "promote", "999", "--reason", "test"), "999"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(
    warm_project: Project, tiny_project: Project, command: tuple[str, ...], sentence: str
) -> None:
    afresh = command[1] in ("train", "score")  # these import more than the others
    done = (tiny_project if afresh else warm_project).run(*command, check=False)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
