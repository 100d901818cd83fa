"""Ensemble plots and the picture of a window: complete, readable by DVC, equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from hms_pipeline.ensemble import stage
from hms_pipeline.report.plots import write_ensemble_plots, write_learning_curves
from hms_pipeline.schema import CLASSES
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import hash_file
from hms_pipeline.training.finished import read_manifest, write_manifest
from tests.recipes import ROOT, recipe

from ..ensemble.panel import make_panel, write_artifacts

NAMES = {"weights", "reliability", "confusion", "kl_by_votes", "member_correlation"}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tiny():
    return recipe("tiny")


@pytest.fixture
def drawn(tmp_path, tiny):
    """A function: votes → the plots of a panel whose experts cast so many."""

    def draw(votes):
        paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=votes))
        stage.run(paths, tiny)
        return write_ensemble_plots(paths, tiny)

    return draw


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("votes", [(1, 20), (1, 9), (10, 12)])
def test_every_plot_comes_with_its_numbers(drawn, tiny, votes):
    folder = drawn(votes)
    assert {path.stem for path in folder.glob("*.png")} == NAMES
    assert {path.stem for path in folder.iterdir()} == NAMES | {"learning_curves"}
    for path in folder.rglob("*.csv"):
        assert not pd.read_csv(path).isna().any(axis=None)
    assert {path.stem for path in (folder / "reliability").iterdir()} == set(CLASSES)
    assert {path.stem for path in (folder / "learning_curves").iterdir()} == set(tiny.members)


def test_learning_curves_are_means_over_the_folds_beside_each(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(10, 20)))
    write_learning_curves(tmp_path / "curves", paths, tiny)
    table = pd.read_csv(tmp_path / "curves" / "eegnet.csv")
    assert list(table["epoch"]) == [1, 2, 3]
    np.testing.assert_allclose(table["loss"], [1.2, 1.1, 0.9])
    np.testing.assert_allclose(table["fold_0"], 1)
    np.testing.assert_allclose(table["fold_1"], [0.9, 0.8, 0.7])
    np.testing.assert_allclose(table["kl"], [0.95, 0.9, 0.85])


def test_learning_curves_show_the_epochs_that_were_evaluated(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(10, 20)))
    for fold in range(tiny.split.n_folds):
        folder = paths.fold("eegnet", fold)
        history = pd.read_csv(folder / "history.csv")
        history.loc[0, ["kl_all", "kl_ge_10"]] = np.nan
        history.to_csv(folder / "history.csv", index=False)
        manifest = read_manifest(folder)
        manifest["files"]["history.csv"] = hash_file(folder / "history.csv")
        write_manifest(folder, manifest)
    write_learning_curves(tmp_path / "curves", paths, tiny)
    table = pd.read_csv(tmp_path / "curves" / "eegnet.csv")
    assert list(table["epoch"]) == [2, 3]
    np.testing.assert_allclose(table["kl"], [0.9, 0.85])
    np.testing.assert_allclose(table["fold_1"], [0.8, 0.7])


def test_an_edited_history_is_refused(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9)))
    (paths.fold("eegnet", 0) / "history.csv").write_text("epoch,loss,kl_all\n1,0,0\n")
    with pytest.raises(InputError, match=r"history\.csv is not as its training wrote it"):
        write_learning_curves(tmp_path / "curves", paths, tiny)


def test_dvc_yaml_declares_what_is_written_by_fields_that_are_there(drawn, tiny):
    """Each metric and plot of dvc.yaml exists, and each plot's x and y are columns of it."""
    folder = drawn((1, 20))
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    artifacts = folder.parents[1]
    summaries = {f"artifacts/{stage}/summary.json" for stage in ("ensemble", "student")}
    assert set(graph["metrics"]) == summaries
    assert (artifacts / "ensemble" / "summary.json").is_file()
    for plot in graph["plots"]:
        (name, fields), *_ = plot.items() if isinstance(plot, dict) else [(plot, None)]
        path = artifacts.parent / name
        assert path.exists()
        for file in (path.iterdir() if path.is_dir() else [path]) if fields else ():
            assert {fields["x"], fields["y"]} <= set(pd.read_csv(file)), file


def test_two_drawings_have_equal_bytes_and_replace_each_other(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(1, 20)))
    stage.run(paths, tiny)
    first = contents(write_ensemble_plots(paths, tiny))
    (paths.ensemble / "plots" / "old.png").write_bytes(b"")
    assert contents(write_ensemble_plots(paths, tiny)) == first


def test_plots_before_the_stage_name_the_command(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(1, 20)))
    with pytest.raises(InputError, match="hms ensemble"):
        write_ensemble_plots(paths, tiny)
