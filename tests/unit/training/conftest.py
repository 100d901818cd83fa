"""A tiny training set: two classes that differ in their views, with real folds and windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import Params, Paths, parse_params
from hms_pipeline.datasets import stage as split_stage
from hms_pipeline.schema import CLASS_LABELS, VOTE_COLUMNS
from hms_pipeline.system.files import write_sealed
from hms_pipeline.training import fold_data
from tests.recipes import recipe

SHAPES = {"spec_multi": (4, 32, 32), "bipolar": (18, 320)}


class FolderStore:
    """Stands for the features' store: one array per view and its label_ids."""

    def __init__(self, folder: Path) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.label_ids = np.load(folder / "label_ids.npy")
        self._values = np.load(folder / "values.npy")

    @classmethod
    def open(cls, folder: Path, *, view: BuiltView) -> FolderStore:
        store = cls(folder)
        assert (store.manifest["view"], tuple(store.manifest["shape"])) == (view.name, view.shape)
        return store

    def __getitem__(self, label_ids: np.ndarray) -> np.ndarray:
        return self._values[np.searchsorted(self.label_ids, label_ids)]


class BuiltView:
    """Stands for a built view."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shape = shape = SHAPES[name]
        self.kind = "image" if len(shape) == 3 else "waves"
        self.mirror = tuple(range(shape[0]))
        self.mirror_sign = (1.0,) * shape[0]
        self.params: dict = {}


def make_windows(n_patients: int = 12, per_patient: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for patient in range(n_patients):
        for window in range(per_patient):
            votes = np.zeros(6, int)
            votes[patient % 2] = 12 if window % 2 else 4
            votes[5] = rng.integers(0, 2)
            rows.append((patient, CLASS_LABELS[patient % 2], *votes))
    windows = pd.DataFrame(rows, columns=["patient_id", "expert_consensus", *VOTE_COLUMNS])
    windows.insert(0, "label_id", rng.permutation(1000)[: len(windows)])
    return windows


def write_view(paths: Paths, name: str, windows: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    ordered = windows.sort_values("label_id")
    shape = SHAPES[name]
    values = rng.normal(size=(len(ordered), *shape))
    sign = np.where(ordered["expert_consensus"] == CLASS_LABELS[0], 1.0, -1.0)
    values += sign.reshape([-1] + [1] * len(shape)) * np.linspace(0, 1.5, shape[-1])
    folder = paths.view(name)
    folder.mkdir(parents=True)
    np.save(folder / "values.npy", values.astype(np.float16))
    np.save(folder / "label_ids.npy", ordered["label_id"].to_numpy())
    write_sealed(folder / "manifest.json", {"view": name, "shape": shape})


@pytest.fixture
def params() -> Params:
    """The tiny recipe with networks of a few thousand weights, two epochs a stage."""
    data = recipe("tiny").model_dump(mode="json")
    data["training"]["batch_size"] = 8
    for part in data["training"]["stages"]:
        part["epochs"] = 2
    data["members"]["eegnet"]["model"] = {"width": 4, "hidden": 8, "n_blocks": 1}
    data["members"]["v2s-spec"]["model"] = {"width": 0.25, "depth": 0.1}
    return parse_params(data)


@pytest.fixture
def paths(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Windows, folds and both views."""
    paths = Paths(artifacts=tmp_path / "artifacts")
    windows = make_windows()
    paths.validated.mkdir(parents=True)
    windows.to_parquet(paths.windows, index=False)
    split_stage.run(paths, params)
    for name in SHAPES:
        write_view(paths, name, windows)
    monkeypatch.setattr(fold_data, "FeatureStore", FolderStore)
    monkeypatch.setattr(
        fold_data, "build_views", lambda params, names: {n: BuiltView(n) for n in names}
    )
    return paths
