"""A small ensemble with overlapping windows, and the student that it teaches, trained once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.config import Params, Paths, parse_params
from hms_pipeline.config.recipes import write_recipe
from hms_pipeline.student import stage
from tests.ensembles import Maker
from tests.recipes import recipe


def with_student(params: Params, **changes: object) -> Params:
    """A recipe with the tiny student."""
    data = params.model_dump(mode="json") | {
        "student": recipe("tiny").student.model_dump(mode="json")
    }
    data["student"] |= changes
    data["training"]["batch_size"] = 8
    return parse_params(data)


def set_some_aside(paths: Paths, n: int = 6) -> None:
    """Take every fourth window of the first patients out of the kept ones, as overlapping."""
    windows = pd.read_parquet(paths.windows)
    windows.to_csv(paths.data / "train.csv", index=False)
    gone = windows[windows["eeg_label_offset_seconds"] == 50.0].head(n)
    rows = {"kind": "window", "id": gone["label_id"], "rule": "overlap", "detail": ""}
    pd.DataFrame(rows).to_parquet(paths.quarantine, index=False)
    kept = windows[~windows["label_id"].isin(gone["label_id"])]
    kept.to_parquet(paths.windows, index=False)
    columns = {"kind": ["eeg"], "id": [1000], "file_hash": ["unread"]}
    pd.DataFrame(columns).to_parquet(paths.recordings, index=False)
    folds = pd.read_parquet(paths.folds)
    folds[folds["label_id"].isin(kept["label_id"])].to_parquet(paths.folds, index=False)


@pytest.fixture(scope="package")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, Params]:
    """Ensemble and student; tests must not change it."""
    maker = Maker(tmp_path_factory.mktemp("taught"), n_patients=8)
    set_some_aside(maker.paths)
    maker.windows = pd.read_parquet(maker.paths.windows)
    maker.folds = pd.read_parquet(maker.paths.folds)
    for view in maker.params.views:
        from hms_pipeline.features import stage as features_stage

        features_stage.run(maker.paths, maker.params, view, workers=1, device="cpu")
    answers = maker.train(0)
    maker.vote(answers)
    maker.blend()
    params = with_student(maker.params)
    write_recipe(maker.paths.params, params)
    stage.run(maker.paths, params, device="cpu")
    return maker.paths, params


@pytest.fixture
def copy_of(taught: tuple[Paths, Params], tmp_path: Path) -> Paths:
    """A copy that may be changed."""
    import shutil

    root = taught[0].params.parent
    shutil.copytree(root, tmp_path / "project")
    root = tmp_path / "project"
    return Paths(root / "data", root / "artifacts", root / "params.yaml")
