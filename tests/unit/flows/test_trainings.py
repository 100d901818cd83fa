"""Which trainings stand behind a stage, and what trains them."""

from __future__ import annotations

import sys

import pytest

from flows.trainings import STUDENT, Trainings
from hms_pipeline.config.recipes import write_recipe
from tests.recipes import recipe

HMS = [sys.executable, "-m", "hms_pipeline"]
COMMANDS = {"train@a": "python -m hms_pipeline train a", "student": STUDENT, "split": "python x"}


@pytest.mark.parametrize("forced", [False, True])
def test_folds_and_students_are_trained_by_the_stages_own_commands(tmp_path, forced):
    trainings = Trainings(tmp_path, COMMANDS, frozenset(COMMANDS if forced else ()))
    again = ["--again"] * forced
    assert trainings.command("train@a", [0, 2]) == [*HMS, "train", "a", "0", "2", *again]
    assert trainings.command("student", [1, "final"]) == [*HMS, "student", "1", "final"]


@pytest.mark.parametrize("students", [True, False])
def test_students_wait_for_slots_only_where_they_may_be_trained_before_their_stage(
    tmp_path, students
):
    params = recipe("tiny")
    write_recipe(tmp_path / "params.yaml", params)
    trainings = Trainings(tmp_path, COMMANDS, frozenset(), students=students)
    assert list(trainings.missing("student")) == [0, 1, "final"] * students
    assert trainings.missing("split") == []
    write_recipe(tmp_path / "params.yaml", params.model_copy(update={"student": None}))
    assert not trainings.missing("student")
