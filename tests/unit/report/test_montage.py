"""Traces for the screen: what a bipolar derivation must and must not show."""

from __future__ import annotations

import numpy as np
import pytest

from hms_pipeline.report.montage import DERIVATIONS, NAMES, baselines, screen_traces
from hms_pipeline.schema import DOUBLE_BANANA, EEG_COLUMNS, SFREQ

RNG = np.random.default_rng(0)
TIME = np.arange(4000) / SFREQ


@pytest.fixture
def eeg():
    return (50 * RNG.normal(size=(20, 4000))).astype(np.float32)


def test_the_screen_shows_the_double_banana_left_to_right():
    assert sorted(DERIVATIONS) == sorted(DOUBLE_BANANA)
    assert NAMES[0] == "Fp1-F7"
    assert NAMES[-1] == "T6-O2"
    assert (np.diff(baselines()) > 0).all()


def test_a_common_reference_cancels(eeg):
    moved = eeg + 300 * np.sin(2 * np.pi * 5 * TIME).astype(np.float32)
    np.testing.assert_allclose(screen_traces(moved), screen_traces(eeg), atol=0.01)


def test_a_chain_telescopes_to_its_ends(eeg):
    left_temporal = screen_traces(eeg)[:4].sum(axis=0)
    left_parasagittal = screen_traces(eeg)[4:8].sum(axis=0)  # both run from Fp1 to O1
    np.testing.assert_allclose(left_temporal, left_parasagittal, atol=1e-3)


@pytest.mark.parametrize(("hz", "gain"), [(10, 1), (0.05, 0), (80, 0)])
def test_only_the_band_passes(hz, gain):
    eeg = np.zeros((20, 4000))
    eeg[EEG_COLUMNS.index("Fp1")] = 100 * np.sin(2 * np.pi * hz * TIME)
    shown = np.abs(screen_traces(eeg)[0][1000:3000]).max() / 100
    assert shown == pytest.approx(gain, abs=0.06)


def test_missing_samples_and_electrodes_stay_missing(eeg):
    eeg[EEG_COLUMNS.index("Cz")] = np.nan
    eeg[EEG_COLUMNS.index("O2"), 100:200] = np.nan
    traces = screen_traces(eeg)
    assert np.isnan(traces[NAMES.index("Fz-Cz")]).all()
    assert np.isnan(traces[NAMES.index("P4-O2")]).sum() == 100
    assert np.isfinite(traces[0]).all()
