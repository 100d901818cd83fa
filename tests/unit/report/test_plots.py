"""Ensemble plots and the picture of a window: complete, readable by DVC, equal bytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.ensemble import stage
from hms_pipeline.report.plots import write_ensemble_plots
from hms_pipeline.report.window_plot import plot_window
from hms_pipeline.schema import CLASSES
from hms_pipeline.system.errors import InputError
from tests.recipes import recipe

from ..ensemble.panel import make_panel, write_artifacts

NAMES = {"weights", "reliability", "confusion", "kl_by_votes", "member_correlation"}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tiny():
    return recipe("tiny")


@pytest.mark.parametrize("votes", [(1, 20), (1, 9), (10, 12)])
def test_every_plot_comes_with_its_numbers(tmp_path, tiny, votes):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=votes))
    stage.run(paths, tiny)
    folder = write_ensemble_plots(paths, tiny)
    for suffix in (".png", ".csv"):
        assert {path.stem for path in folder.glob(f"*{suffix}")} == NAMES
    for path in folder.glob("*.csv"):
        assert not pd.read_csv(path).isna().any(axis=None)
    assert set(pd.read_csv(folder / "reliability.csv")["class"]) == set(CLASSES)
    assert pd.read_csv(folder / "confusion.csv").shape == (36, 3)


def test_two_drawings_have_equal_bytes_and_replace_each_other(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(1, 20)))
    stage.run(paths, tiny)
    first = {p.name: p.read_bytes() for p in write_ensemble_plots(paths, tiny).iterdir()}
    (paths.ensemble / "plots" / "old.png").write_bytes(b"")
    second = {p.name: p.read_bytes() for p in write_ensemble_plots(paths, tiny).iterdir()}
    assert first == second


def test_plots_before_the_stage_name_the_command(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(1, 20)))
    with pytest.raises(InputError, match="hms ensemble"):
        write_ensemble_plots(paths, tiny)


@pytest.mark.parametrize("complete", [True, False])
def test_a_window_is_drawn_with_and_without_spectrogram_and_votes(tmp_path, complete):
    eeg = RNG.normal(0, 40, (20, 10000)).astype(np.float32)
    spectrogram, votes = RNG.gamma(2, 5, (4, 100, 300)), np.array([0, 9, 1, 0, 0, 2])
    if not complete:
        eeg[3], spectrogram, votes = np.nan, None, None
    out = plot_window(eeg, spectrogram, np.full(6, 1 / 6), votes, tmp_path / "window.png")
    assert out.read_bytes().startswith(b"\x89PNG")
