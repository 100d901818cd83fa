"""Masking hides what it says and nothing else, and points to what an answer rests on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from hms_pipeline.data.window import Window
from hms_pipeline.schema import CHAINS, CLASSES, EEG_COLUMNS, REGION_PAIRS, REGIONS, SFREQ
from hms_pipeline.scoring.explain import MASKED, explain, without_region, without_stretch
from hms_pipeline.simulator.latent import Latent
from hms_pipeline.simulator.patient import draw_patient
from hms_pipeline.simulator.recording import Moment, simulate_recording

RNG = np.random.default_rng(0)
LPD = Latent(prominence=0.95, evolution=0.05, sharpness=0.95, laterality=0.98, rate_hz=1.0)


@pytest.fixture
def window() -> Window:
    eeg = RNG.normal(0, 30, (20, 10000)).astype(np.float32)
    return Window(eeg, RNG.gamma(2, 5, (4, 100, 300)).astype(np.float32))


def derivations(eeg: np.ndarray, region: str) -> np.ndarray:
    index = EEG_COLUMNS.index
    return np.stack([eeg[index(a)] - eeg[index(b)] for a, b in REGION_PAIRS[region]])


@pytest.mark.parametrize("region", REGIONS)
def test_a_masked_chain_is_straight_and_others_are_untouched(window: Window, region: str) -> None:
    masked = without_region(window, region)
    pieces = derivations(masked.eeg, region)
    np.testing.assert_allclose(pieces, np.broadcast_to(pieces[:1], pieces.shape), atol=1e-3)
    np.testing.assert_allclose(  # the chain still spans its ends
        pieces.sum(axis=0), derivations(window.eeg, region).sum(axis=0), atol=1e-3
    )
    inner = [EEG_COLUMNS.index(name) for name in CHAINS[region][1:-1]]
    others = np.delete(np.arange(20), inner)
    np.testing.assert_array_equal(masked.eeg[others], window.eeg[others])
    changed = (masked.spectrogram != window.spectrogram).any(axis=(1, 2))
    assert [name for name, moved in zip(REGIONS, changed, strict=True) if moved] == [region]


def test_a_masked_stretch_is_a_line_and_the_rest_is_untouched(window: Window) -> None:
    masked = without_stretch(window, 10, 15)
    inside = masked.eeg[:19, 2000:3000]
    np.testing.assert_allclose(np.diff(inside, n=2, axis=1), 0, atol=1e-3)
    np.testing.assert_array_equal(np.delete(masked.eeg, np.s_[2000:3000], 1),
                                  np.delete(window.eeg, np.s_[2000:3000], 1))  # fmt: skip
    moved = (masked.spectrogram != window.spectrogram).any(axis=(0, 1))
    assert np.flatnonzero(moved).tolist() == [142, 143, 144]  # 285 to 290 s in rows of 2 s
    assert without_stretch(Window(window.eeg), 45, 50).spectrogram is None


class Asymmetry:
    """Calls an LPD what one side shows more of than the other, away from the eyes."""

    def predict(self, windows):
        probs = []
        for window in windows:
            size = {r: np.sqrt((band(derivations(window.eeg, r)[1:]) ** 2).mean()) for r in REGIONS}
            left, right = size["LL"] + size["LP"], size["RL"] + size["RP"]
            lpd = 1 / (1 + np.exp(2 - 8 * abs(np.log(left / right))))
            row = np.full(len(CLASSES), (1 - lpd) / 5)
            row[CLASSES.index("lpd")] = lpd
            probs.append(row)
        return SimpleNamespace(probs=np.array(probs))


def band(traces: np.ndarray) -> np.ndarray:
    return sosfilt(butter(2, (1, 15), "bandpass", fs=SFREQ, output="sos"), traces, axis=1)


def test_the_focus_of_simulated_lpds_is_what_matters() -> None:
    right = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        patient = draw_patient(rng)
        recording = simulate_recording(rng, patient, [Moment(25.0, LPD)], 50)
        found = explain(Asymmetry(), Window(recording.eeg, None))
        side = "L" if patient.morphology.side < 0 else "R"
        right.append(max(found.regions, key=found.regions.get).startswith(side))
        assert found.n_scored == 1 + len(MASKED) + len(found.stretches)
    assert sum(right) >= 10


def test_the_stretch_that_alone_decides_is_found(window: Window) -> None:
    eeg = 0.1 * window.eeg
    eeg[EEG_COLUMNS.index("T3"), 4000:5000] *= 100
    found = explain(Asymmetry(), Window(eeg, None))
    assert int(found.stretches.argmax()) == 4
    assert max(found.regions, key=found.regions.get) == "LL"
