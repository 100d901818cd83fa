"""What one file's measures say, on signals whose defects are known."""

from __future__ import annotations

import numpy as np
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.data.quality import eeg_masks
from hms_pipeline.validation.quality import eeg_windows, longest_runs

from ..validation import ROOT


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params.yaml").validation


@pytest.fixture
def eeg() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 50, (20, 14_000)).astype(np.float32)


def _window(eeg, params, start=0) -> dict[str, float]:
    names = ("missing_share", "missing_s", "dead", "saturated_share", "extreme_share")
    values = eeg_windows(eeg_masks(eeg, params), [start], params)[0]
    return dict(zip(names, values.tolist(), strict=True))


def test_a_sound_signal_has_nothing(eeg, params):
    assert set(_window(eeg, params).values()) == {0.0}


def test_gaps(eeg, params):
    eeg[4, 1000:1500] = np.nan
    eeg[4, 3000:3100] = np.nan
    found = _window(eeg, params)
    assert found["missing_share"] == pytest.approx(0.06)
    assert found["missing_s"] == pytest.approx(2.5)
    assert _window(eeg, params, 4000)["missing_share"] == 0


def test_a_gap_is_cut_at_the_window(eeg, params):
    eeg[:, 9_900:10_500] = np.nan
    assert _window(eeg, params)["missing_s"] == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.0, 37.5, -4000.0])
def test_dead_is_not_saturated(eeg, params, value):
    eeg[2] = value
    eeg[7, :4000] = 12.5  # less than half of the window
    found = _window(eeg, params)
    assert found["dead"] == 1
    assert found["saturated_share"] == 0


def test_rails_are_saturated_not_dead(eeg, params):
    wave = 3000 * np.sin(np.arange(14_000) / 50)
    eeg[5] = np.clip(wave, -800, 800)
    found = _window(eeg, params)
    share = np.mean(np.abs(eeg[5, :10_000]) == 800)
    assert found["saturated_share"] == pytest.approx(share, abs=0.01)
    assert found["dead"] == 0


def test_extreme(eeg, params):
    eeg[9, 2000:2500] += 30_000
    found = _window(eeg, params)
    assert found["extreme_share"] == pytest.approx(0.05)


def test_the_ekg_may_be_flat_and_large(eeg, params):
    eeg[19] = 9000
    assert set(_window(eeg, params).values()) == {0.0}


def test_windows_outside_are_nan(eeg, params):
    masks = eeg_masks(eeg, params)
    values = eeg_windows(masks, [-1, 0, 4000, 4001], params)
    np.testing.assert_array_equal(np.isnan(values[:, 0]), [True, False, False, True])


def test_infinite_counts_as_missing(eeg, params):
    eeg[0, :100] = np.inf
    assert _window(eeg, params)["missing_share"] == pytest.approx(0.01)


@pytest.mark.parametrize("seed", range(5))
def test_longest_runs_equal_a_count_by_hand(seed):
    mask = np.random.default_rng(seed).random((6, 50)) < 0.6
    by_hand = [
        max(map(len, "".join("x" if m else " " for m in row).split()), default=0) for row in mask
    ]
    np.testing.assert_array_equal(longest_runs(mask), by_hand)
