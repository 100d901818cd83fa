"""What a retrain will write: what is not there, and what is out of date."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.config import Paths
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
    assert disk.needed_bytes(paths, PARAMS, ["validate", *views, *trainings]) == (
        disk.needed_bytes(empty, PARAMS)
    )
    for some in (views[:1], trainings[:1]):
        assert disk.needed_bytes(paths, PARAMS, some) > done


def test_a_disk_that_holds_only_what_is_left_refuses_stale_stages(paths, monkeypatch):
    free = disk.needed_bytes(paths, PARAMS) + PARAMS.registry.disk_reserve_gb * disk.GB
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: disk.shutil._ntuple_diskusage(
        free, 0, free
    ))  # fmt: skip
    disk.check_disk(paths, PARAMS)
    with pytest.raises(InputError, match="needs about"):
        disk.check_disk(paths, PARAMS, [f"features@{name}" for name in PARAMS.views])
