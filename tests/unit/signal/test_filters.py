"""Filters against scipy's forward–backward Butterworth, and what they pass and stop."""

import numpy as np
import pytest
import torch
from scipy import signal as scipy_signal

from hms_pipeline.signal import filters
from hms_pipeline.system.errors import InputError

SFREQ = 200.0


def noise(n=10_000, seed=0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.standard_normal((3, n)), axis=1) * 5 + 300


def test_band_pass_equals_scipys_forward_backward_filter():
    x = noise()
    for band, kind in ((0.5, "highpass"), (20.0, "lowpass")):
        sos = scipy_signal.butter(4, band, kind, fs=SFREQ, output="sos")
        expected = scipy_signal.sosfiltfilt(sos, x, padlen=1400)
        edges = (band, None) if kind == "highpass" else (None, band)
        ours = filters.band_pass(torch.from_numpy(x), *edges).numpy()
        inner = slice(1000, -1000)
        assert np.abs(ours - expected)[:, inner].max() < 2e-3 * expected[:, inner].std()
        assert np.abs(ours - expected).max() < 0.15 * expected.std()  # the 5 s at each end


def test_band_pass_shifts_no_phase_and_keeps_a_sine_in_the_band():
    times = torch.arange(10_000, dtype=torch.float64) / SFREQ
    sine = torch.sin(2 * torch.pi * 5 * times)
    filtered = filters.band_pass(sine[None], 0.5, 20.0)[0]
    torch.testing.assert_close(filtered[1000:-1000], sine[1000:-1000], rtol=0, atol=2e-3)


@pytest.mark.parametrize("freq_hz", [0.05, 45.0, 60.0])
def test_band_pass_stops_what_is_outside(freq_hz):
    times = torch.arange(10_000, dtype=torch.float64) / SFREQ
    sine = torch.sin(2 * torch.pi * freq_hz * times)
    assert filters.band_pass(sine[None], 0.5, 20.0)[0, 2000:-2000].abs().max() < 0.02


def test_an_offset_and_a_drift_vanish_without_ringing():
    drift = torch.linspace(-500, 2500, 10_000)[None]
    assert filters.band_pass(drift, 0.5, 20.0).abs().max() < 1.0


@pytest.mark.parametrize("rate_hz", [50.0, 100.0])
def test_band_pass_at_a_lower_rate_is_the_band_pass_at_fewer_points(rate_hz):
    x = torch.from_numpy(noise()) - 300
    full = filters.band_pass(x, 0.5, 12.0, order=6)
    low = filters.band_pass(x, 0.5, 12.0, order=6, rate_hz=rate_hz)
    step = int(SFREQ / rate_hz)
    assert low.shape[-1] == 10_000 // step
    difference = (low - full[:, ::step])[:, 50:-50].abs().max()
    assert difference < 1e-3 * full.std()


def test_float32_agrees_with_float64():
    x = torch.from_numpy(noise())
    full = filters.band_pass(x, 0.5, 20.0, rate_hz=50)
    single = filters.band_pass(x.float(), 0.5, 20.0, rate_hz=50)
    assert (single - full).abs().max() < 1e-4 * full.abs().max()


@pytest.mark.parametrize("sfreq", [250.0, 256.0, 512.0, 100.0])
def test_resampling_gives_the_sine_at_the_new_times(sfreq):
    times = torch.arange(int(20 * sfreq), dtype=torch.float64) / sfreq
    sine = torch.sin(2 * torch.pi * 7 * times)[None]
    out = filters.resample(sine, sfreq, SFREQ)
    expected = torch.sin(2 * torch.pi * 7 * torch.arange(out.shape[-1]).double() / SFREQ)
    assert out.shape[-1] == 4000
    torch.testing.assert_close(out[0, 200:-200], expected[200:-200], rtol=0, atol=2e-3)


def test_resampling_does_not_fold_high_frequencies_back():
    times = torch.arange(10_000, dtype=torch.float64) / SFREQ
    assert (
        filters.resample(torch.sin(2 * torch.pi * 42 * times)[None], SFREQ, 50.0)[0, 100:-100]
        .abs()
        .max()
        < 1e-3
    )


def test_clip_and_scale():
    out = filters.clip_scale(torch.tensor([-5000.0, 64.0, 5000.0]), 1024, 32)
    assert out.tolist() == [-32.0, 2.0, 32.0]


@pytest.mark.parametrize("edges", [(20.0, 0.5), (0.0, 20.0), (0.5, 100.0)])
def test_impossible_bands_are_refused(edges):
    with pytest.raises(InputError, match="0 < low_hz < high_hz < 100"):
        filters.band_pass(torch.zeros(1, 100), *edges)


def test_a_signal_shorter_than_its_extension_is_filtered():
    assert filters.band_pass(torch.randn(1, 30), 1.0, 20.0).shape == (1, 30)
