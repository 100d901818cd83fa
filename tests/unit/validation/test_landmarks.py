"""The fingerprint: what it survives, and what it must not confuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, firwin, sosfilt

from hms_pipeline.data.recording import read_eeg
from hms_pipeline.validation import landmarks
from hms_pipeline.validation.landmarks import landmark_hashes, signature
from hms_pipeline.validation.matching import candidates

REAL = Path(__file__).parents[3] / ".." / "shared" / "real" / "iiic"
VOTES = 4


def _eeg(seed: int, n_times: int = 12_000) -> np.ndarray:
    """Correlated 1/f-like noise on 20 channels (µV)."""
    rng = np.random.default_rng(seed)
    sources = np.cumsum(rng.normal(size=(6, n_times)), axis=1)
    sources = sosfilt(butter(2, (0.5, 30), "band", fs=200, output="sos"), sources)
    mixing = rng.normal(size=(20, 6))
    return (20 * mixing @ sources + rng.normal(size=(20, n_times))).astype(np.float32)


def _shared(recordings: list[np.ndarray], votes: int = VOTES) -> list:
    found = [landmark_hashes(eeg) for eeg in recordings]
    owners = [np.full(len(hashes), key) for key, (hashes, _) in enumerate(found)]
    hashes = np.concatenate([hashes for hashes, _ in found])
    times = np.concatenate([times for _, times in found])
    return candidates(hashes, times, np.concatenate(owners), votes)


def _noisy(eeg: np.ndarray, share: float) -> np.ndarray:
    noise = np.random.default_rng(9).normal(size=eeg.shape)
    return eeg + share * eeg.std(axis=1, keepdims=True) * noise


@pytest.mark.parametrize(
    ("change", "shift_s"),
    [
        (lambda eeg: 0.6 * eeg, 0.0),
        (lambda eeg: -1.7 * eeg, None),  # turned over is another signal
        (lambda eeg: eeg[:, 743:], 3.715),
        (lambda eeg: _noisy(eeg, 0.1), 0.0),
        (lambda eeg: np.round(_noisy(1.3 * eeg[:, 1000:], 0.05), 1), 5.0),
    ],
)
def test_a_changed_copy_is_met_at_its_shift(change, shift_s):
    eeg = _eeg(0)
    found = _shared([eeg, change(eeg).astype(np.float32)])
    if shift_s is None:
        assert not found
    else:
        assert len(found) == 1
        assert found[0].shift_s == pytest.approx(shift_s, abs=0.03)


def test_strangers_do_not_meet():
    assert _shared([_eeg(seed) for seed in range(40)]) == []


def test_strictly_periodic_strangers_do_not_count_as_copies():
    """Two discharges at one rate share every gap; hashes that all have are no landmarks."""
    t = np.arange(12_000) / 200
    recordings = [
        (_noisy(_eeg(seed), 0.0) * 0.2 + 100 * (np.sin(2 * np.pi * t) ** 15)).astype(np.float32)
        for seed in range(4)
    ]
    assert all(c.votes < 40 for c in _shared(recordings, 2))


def test_missing_samples_are_no_landmarks():
    eeg = _eeg(0)
    gone = eeg.copy()
    gone[:, 4000:5000] = np.nan
    assert np.isfinite(signature(gone)).all()
    assert len(_shared([eeg, gone])) == 1
    assert len(landmark_hashes(np.full((20, 10_000), np.nan, np.float32))[0]) == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="no real recordings in ../shared/real")
def test_real_windows_meet_their_copies_only():
    eegs = [read_eeg(path) for path in sorted(REAL.glob("*.parquet"))]
    copies = [np.round(0.8 * eeg[:, 555:], 1).astype(np.float32) for eeg in eegs]
    pairs = {(c.a, c.b) for c in _shared(eegs + copies)}
    assert pairs == {(k, k + len(eegs)) for k in range(len(eegs))}


def test_the_filter_is_scipys():
    waves = np.random.default_rng(0).normal(size=(4, 3000)).astype(np.float32)
    taps = firwin(landmarks.N_TAPS, landmarks.BAND_HZ, pass_zero=False, fs=200, scale=False)
    expected = [np.convolve(wave, taps, mode="same") for wave in waves]
    np.testing.assert_allclose(landmarks._filter(waves), expected, atol=1e-4)
