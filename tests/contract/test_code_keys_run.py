"""No gap: every function of the package that a piece of work runs is in what its key covers."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from hms_pipeline.code_keys.closure import Closure, is_settled
from hms_pipeline.code_keys.roots import Keys
from hms_pipeline.config import Params, Paths, load_params, parse_params
from hms_pipeline.data.window import WindowReader
from hms_pipeline.datasets import stage as split_stage
from hms_pipeline.datasets.augmentations import AUGMENTATIONS, Augmenter, ViewInfo
from hms_pipeline.ensemble import stage as ensemble_stage
from hms_pipeline.features import stage as features_stage
from hms_pipeline.features.views import build_view
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.inference.write import write_bundle
from hms_pipeline.report.plots import write_ensemble_plots
from hms_pipeline.schema import CLASS_LABELS, VOTE_COLUMNS
from hms_pipeline.student import stage as student_stage
from hms_pipeline.training import stage as training_stage
from hms_pipeline.training.finished import fold_key, member_inputs
from hms_pipeline.training.fold_data import MemberData
from hms_pipeline.training.train import Trainer
from hms_pipeline.validation import docs  # noqa: F401 - imports great_expectations
from hms_pipeline.validation import stage as validation_stage
from tests.recipes import recipe
from tests.unit.features.conftest import window_rows, write_recording

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hms_pipeline"
DEMO = yaml.safe_load((ROOT / "params.yaml").read_text())
SIZES = {
    "eegnet": {"width": 4, "hidden": 8, "n_blocks": 1},
    "b4-mel": {"width": 0.25, "depth": 0.1, "norm": "group"},
    "multi": {"wave_width": 4, "hidden": 8, "n_blocks": 1, "width": 0.25, "depth": 0.1},
}


class Watch:
    """Notes which functions of the package run, in every thread; not what importing runs."""

    def __init__(self) -> None:
        self.ran: set[tuple[str, str]] = set()
        self._importing = threading.local()
        # By id, since a code object's hash reads all of it; kept, so that its id stays its own.
        self._own: dict[int, tuple[CodeType, tuple[str, str] | None]] = {}

    @contextmanager
    def __call__(self) -> Iterator[set[tuple[str, str]]]:
        self.ran = set()
        threading.settrace(self._see)
        sys.settrace(self._see)
        try:
            yield self.ran
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def _see(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        """Note a call; what is returned hears of the frame's end."""
        code = frame.f_code
        place = self._own[id(code)][1] if id(code) in self._own else self._place(code)
        if place is None:
            return None
        depth = getattr(self._importing, "depth", 0)
        if code.co_name != "<module>":
            if not depth:
                self.ran.add(place)
            return None
        self._importing.depth = depth + 1
        frame.f_trace_lines = False
        return self._imported

    def _imported(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "return":
            self._importing.depth -= 1
        return self._imported

    def _place(self, code: CodeType) -> tuple[str, str] | None:
        """Module and outermost name of a function of the package."""
        place, path = None, Path(code.co_filename)
        if path.is_relative_to(PACKAGE):
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            own = code.co_qualname.partition(".<locals>")[0]
            place = module, holder(path, code) if own == "<lambda>" else own
        self._own[id(code)] = code, place
        return place


def holder(path: Path, code: CodeType) -> str:
    """Name of the definition whose decorators hold a lambda."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        decorators = getattr(node, "decorator_list", ())
        if decorators and decorators[0].lineno <= code.co_firstlineno < node.body[0].lineno:
            return node.name
    return "<lambda>"


watch = Watch()


def missed(keys: Keys, found: Closure, ran: set[tuple[str, str]]) -> list[str]:
    """What ran and is not covered."""
    names = set(found.names)

    def covered(module: str, own: str) -> bool:
        identity = f"{module}:{own}"
        if identity in names or is_settled(module):
            return True
        owner, _, method = own.partition(".")
        frame = f"{module}:{owner}"
        return frame in names and bool(method) and method not in keys.code.members(frame)

    assert len(ran) > 3
    return sorted(f"{module}:{own}" for module, own in ran if not covered(module, own))


@pytest.fixture(scope="module")
def params() -> Params:
    """The demo recipe with three tiny members on two folds, one epoch a stage."""
    data = load_params(ROOT / "params.yaml").model_dump(mode="json")
    data["members"] = {name: data["members"][name] | {"model": SIZES[name]} for name in SIZES}
    data["split"] = {"n_folds": 2, "seed": 0}
    data["training"]["batch_size"] = 4
    data["ensemble"]["bootstrap"] = 100
    data["student"] |= {"model": {"width": 4, "hidden": 8, "n_blocks": 1}, "overlaps": True}
    for stage in (*data["training"]["stages"], *data["student"]["stages"]):
        stage["epochs"] = 1
    return parse_params(data)


@pytest.fixture(scope="module")
def keys(params: Params) -> Keys:
    return Keys(params.model_dump(mode="json"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A competition folder of noise: eight recordings of four patients."""
    folder = tmp_path_factory.mktemp("run")
    paths = Paths(data=folder / "data", artifacts=folder / "artifacts")
    for name in ("train_eegs", "train_spectrograms"):
        (paths.data / name).mkdir(parents=True)
    for number in range(8):
        write_recording(paths.data, number)
    table = window_rows(range(8))
    votes = np.zeros((len(table), 6), int)
    classes = np.arange(len(table)) // 2 % 2
    votes[np.arange(len(table)), classes] = np.where(np.arange(len(table)) % 2, 12, 4)
    table[list(VOTE_COLUMNS)] = votes
    table["expert_consensus"] = [CLASS_LABELS[k] for k in classes]
    table.to_csv(paths.data / "train.csv", index=False)
    return paths


@pytest.fixture(scope="module")
def ran(paths: Paths, params: Params) -> dict[str, set[tuple[str, str]]]:
    """Each stage in its order, in this process; stage → what it ran."""
    found = {}
    with watch() as found["validate"]:
        validation_stage.run(paths, params, workers=1)
    with watch() as found["split"]:
        split_stage.run(paths, params)
    for view in params.views:
        with watch() as found[f"views.{view}"]:
            features_stage.run(paths, params, view, device="cpu", workers=1)
    for member in params.members:
        inputs = member_inputs(paths, params, member)
        finished = {
            fold: paths.finished / fold_key(inputs, member, fold)
            for fold in range(params.split.n_folds)
        }
        with watch() as found[f"train.{member}"]:
            read = partial(MemberData.read, paths, params, member, inputs)
            trainer = Trainer(paths, params, member, read, "cpu")
            for fold, folder in finished.items():
                trainer.train(fold, folder.name, folder, Mock(), lambda done, total: None)
        training_stage.run(paths, params, member)  # links them
    with watch() as found["ensemble"]:
        ensemble_stage.run(paths, params)
        write_ensemble_plots(paths, params)
    with watch() as found["student"]:
        student_stage.run(paths, params, device="cpu", progress=lambda done, total: None)
    with watch() as found["register"]:
        write_bundle(paths, params, paths.artifacts / "bundle")
    reader = WindowReader(paths.data)
    rows = pd.read_parquet(paths.windows).head(2).to_dict("records")
    windows = [reader.read(row) for row in rows]
    with watch() as found["version.hms-ensemble"]:
        Predictor.open(paths.artifacts / "bundle", device="cpu").predict(windows)
    return found


STAGES = (
    "validate", "split", *(f"views.{view}" for view in DEMO["views"]),
    *(f"train.{member}" for member in SIZES), "ensemble", "student", "register",
    "version.hms-ensemble",
)  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_nothing_that_its_key_does_not_cover(
    stage: str, ran: dict[str, set[tuple[str, str]]], keys: Keys
) -> None:
    assert missed(keys, keys.closure(stage), ran[stage]) == []


def test_augmentations_run_nothing_that_trainings_keys_do_not_cover(
    params: Params, keys: Keys
) -> None:
    views = [ViewInfo.of(build_view(params, view)) for view in ("mosaic", "differential")]
    tensors = [torch.zeros(4, *view.shape) for view in views]
    options = recipe("starter").training.augmentation
    assert options.keys() == set(AUGMENTATIONS), "name the new one in recipes/starter.yaml"
    named = Keys(keys.recipe | {"training": {"augmentation": options}})
    with watch() as found:
        for name in AUGMENTATIONS:
            augmenter = Augmenter({name: options[name]}, views)
            drawn = augmenter.draw(np.random.default_rng(0), 1, 4)
            augmenter.apply(tensors, torch.zeros(4, 6), drawn[0])
    assert missed(named, named.closure("train.multi"), found) == []
    unnamed = Keys(keys.recipe | {"training": {"augmentation": {}}})
    gap = missed(unnamed, unnamed.closure("train.multi"), found)
    assert {place.split(":")[0] for place in gap} >= {
        f"datasets.augmentations.{path.stem}"
        for path in (PACKAGE / "datasets" / "augmentations").glob("*.py")
        if path.stem not in ("__init__", "augmenter", "power")
    }


def test_a_gap_would_be_seen(ran: dict[str, set[tuple[str, str]]], keys: Keys) -> None:
    """What another view runs is missed here."""
    found = missed(keys, keys.closure("views.mel"), ran["views.cwt"])
    assert "features.views.cwt:cwt" in found
    assert "signal.wavelet:cwt_power" in found
