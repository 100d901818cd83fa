"""Real windows through files and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.recording import read_eeg
from hms_pipeline.data.window import Window
from hms_pipeline.inference.checks import check_window
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.scoring.batch import score_inputs

from ..recordings import write_edf
from ..scorer import REAL, ROOT, Scorer, scoring

WINDOWS = sorted((REAL / "iiic").glob("*.parquet"))
pytestmark = pytest.mark.skipif(not WINDOWS, reason="../shared/real/iiic is not there")


@pytest.mark.parametrize("path", WINDOWS, ids=lambda path: path.stem)
def test_a_window_as_edf_is_the_same_within_sixteen_bits(path: Path, tmp_path: Path) -> None:
    eeg = read_eeg(path)
    bound = write_edf(tmp_path / "window.edf", eeg)
    back = read_clinical(tmp_path / "window.edf").eeg
    assert np.abs(back - eeg).max() <= 1.01 * bound + 1e-3
    ours, theirs = (
        Scorer().predict([type("W", (), {"eeg": e, "spectrogram": None})()]).probs
        for e in (back, eeg)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_all_six_in_one_table(tmp_path: Path) -> None:
    summary = score_inputs(Scorer(), WINDOWS, tmp_path / "scores.csv", scoring())
    table = pd.read_csv(summary.out)
    assert list(table["id"]) == [path.stem for path in WINDOWS]
    np.testing.assert_allclose(table[list(VOTE_COLUMNS)].sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("path", WINDOWS, ids=lambda path: path.stem)
def test_no_sound_signal_is_said_to_be_one_that_training_leaves_out(path: Path) -> None:
    params = load_params(ROOT / "params.yaml").validation
    window = Window(read_eeg(path), None)
    assert check_window(window, 0, left_out=params)[1] == ("no spectrogram",)
