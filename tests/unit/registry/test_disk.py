"""What a retrain will write: what is not there, and what is out of date."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.config import Paths
from hms_pipeline.config.paths import FINAL
from hms_pipeline.config.student import STUDENT
from hms_pipeline.features.views import build_views
from hms_pipeline.registry import disk
from hms_pipeline.system.errors import InputError
from tests.recipes import recipe

PARAMS = recipe("tiny")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """All features and trainings are there."""
    paths = Paths(tmp_path / "data", tmp_path / "artifacts", tmp_path / "params.yaml")
    files = [paths.view(name) / "manifest.json" for name in PARAMS.views]
    files += [paths.fold(*training) / "weights.safetensors" for training in PARAMS.trainings]
    folds = (*range(PARAMS.split.n_folds), FINAL)
    files += [paths.student.fold(STUDENT, fold) / "weights.safetensors" for fold in folds]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    paths.windows.parent.mkdir(parents=True)
    pd.DataFrame({"label_id": range(1000)}).to_parquet(paths.windows)
    return paths


def test_stale_stages_count_as_if_nothing_were_there(paths, tmp_path):
    views = [f"features@{name}" for name in PARAMS.views]
    trainings = [f"train@{member}" for member in PARAMS.members]
    done = disk.needed_bytes(paths, PARAMS)
    empty = Paths(paths.data, tmp_path / "empty", paths.params)
    empty.windows.parent.mkdir(parents=True)
    empty.windows.write_bytes(paths.windows.read_bytes())
    assert disk.needed_bytes(paths, PARAMS, ["validate", *views, *trainings, STUDENT]) == (
        disk.needed_bytes(empty, PARAMS)
    )
    for some in (views[:1], trainings[:1], [STUDENT]):
        assert disk.needed_bytes(paths, PARAMS, some) > done


def test_the_student_counts_with_a_view_of_its_own_and_overlapping_windows(paths):
    members = {"v2s-spec": PARAMS.members["v2s-spec"]}
    student = PARAMS.student.model_copy(update={"overlaps": True})
    params = PARAMS.model_copy(update={"members": members, "student": student})
    a_window = 2 * math.prod(build_views(params, ["bipolar"])["bipolar"].shape)
    done = disk.needed_bytes(paths, params)
    assert disk.needed_bytes(paths, params, ["features@bipolar"]) - done == 2 * 1000 * a_window
    before = disk.needed_bytes(paths, params, [STUDENT])
    set_aside = pd.DataFrame({"kind": ["window"] * 500 + ["eeg"], "rule": ["overlap"] * 501})
    set_aside.to_parquet(paths.quarantine)
    assert disk.needed_bytes(paths, params, [STUDENT]) - before == 500 * a_window
    assert disk.needed_bytes(paths, params) == done


def test_a_disk_that_holds_only_what_is_left_refuses_stale_stages(paths, monkeypatch):
    free = disk.needed_bytes(paths, PARAMS) + PARAMS.registry.disk_reserve_gb * disk.GB
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: disk.shutil._ntuple_diskusage(
        free, 0, free
    ))  # fmt: skip
    disk.check_disk(paths, PARAMS)
    with pytest.raises(InputError, match="needs about"):
        disk.check_disk(paths, PARAMS, [f"features@{name}" for name in PARAMS.views])
