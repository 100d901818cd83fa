from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import periodogram
from scipy.signal.windows import dpss

from hms_pipeline import schema
from hms_pipeline.simulator.recording import Recording
from hms_pipeline.simulator.spectrogram import MARGIN, multitaper_spectrogram, round_significant


def test_row_is_the_mean_of_tapered_periodograms() -> None:
    rng = np.random.default_rng(0)
    eeg = rng.normal(0, 30, size=(20, 4000 + 2 * MARGIN)).round(1)
    row = 3  # covers [2 * 3 - 1, 2 * 3 + 3] s of the recording
    start = int((2 * row - 1) * schema.SFREQ) + MARGIN
    expected = np.zeros(100)
    for first, second in schema.REGION_PAIRS["RP"]:
        a, b = schema.EEG_COLUMNS.index(first), schema.EEG_COLUMNS.index(second)
        wave = (eeg[a] - eeg[b])[start : start + 800]
        wave = wave - wave.mean()
        for taper in dpss(800, 2, 3):
            _, power = periodogram(
                wave * taper, 1.0, nfft=1024, detrend=False, return_onesided=False
            )
            # periodogram divides by the 800 samples; the tapers have unit energy instead.
            expected += power[3:103] * 800 / schema.SFREQ / 12
    found = multitaper_spectrogram(eeg)
    assert found.shape == (4, 100, 10)
    assert np.allclose(found[3, :, row], expected, rtol=1e-3)


def test_matches_the_recipe_of_the_signal_room(recording: Recording) -> None:
    torch = pytest.importorskip("torch")
    from hms_pipeline.signal.multitaper import competition_spectrogram

    eeg = torch.from_numpy(recording.eeg[None])
    theirs = competition_spectrogram(eeg).numpy()[0]
    inner = slice(1, -1)  # the outermost rows reach beyond the recording
    ours = recording.spectrogram[..., inner]
    assert np.allclose(ours, theirs[..., inner], rtol=5e-3, atol=1e-4)


def test_sine_peaks_at_its_frequency_in_its_regions_only() -> None:
    t = np.arange(24_000 + 2 * MARGIN) / schema.SFREQ
    eeg = np.zeros((20, len(t)))
    eeg[schema.EEG_COLUMNS.index("T3")] = 50 * np.sin(2 * np.pi * 10 * t)
    found = multitaper_spectrogram(eeg)
    peak = np.array(schema.SPECTROGRAM_FREQS)[found[0].mean(axis=1).argmax()]
    assert abs(peak - 10) < 0.5  # the multitaper window's half bandwidth, NW / 4 s
    assert found[1:].max() == 0


def test_rounding_keeps_four_digits_and_is_idempotent() -> None:
    values = np.array([0.0, 1.23456, 123456.0, 0.00123456, 9.9996])
    rounded = round_significant(values)
    assert rounded.tolist() == [0.0, 1.235, 123500.0, 0.001235, 10.0]
    assert np.array_equal(round_significant(rounded), rounded)
