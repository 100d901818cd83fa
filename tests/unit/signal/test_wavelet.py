"""Morlet power against MNE's, to a stated tolerance."""

import mne
import numpy as np
import pytest
import torch

from hms_pipeline.signal.wavelet import cwt_power, log_freqs

SFREQ = 200.0
FREQS = log_freqs(0.8, 20.0, 24)


def mne_power(x, freqs, n_cycles):
    """Power of unit-energy wavelets per Hz (MNE's have energy 2)."""
    power = mne.time_frequency.tfr_array_morlet(
        x[None], SFREQ, np.array(freqs), n_cycles=n_cycles, output="power", verbose="error"
    )[0]
    return power / 2 / SFREQ


@pytest.mark.parametrize("n_cycles", [5.0, 7.0])
@pytest.mark.parametrize("stretch", [(0.0, 50.0, 125), (20.0, 10.0, 100)])
def test_power_agrees_with_mne_within_three_percent(n_cycles, stretch):
    x = np.random.default_rng(0).standard_normal((2, 10_000)).cumsum(1)
    x -= np.linspace(x[:, 0], x[:, -1], 10_000).T
    start_s, duration_s, n_columns = stretch
    expected = mne_power(x, FREQS, n_cycles)
    first, last = int(start_s * SFREQ), int((start_s + duration_s) * SFREQ)
    expected = expected[..., first:last].reshape(2, len(FREQS), n_columns, -1).mean(-1)
    (ours,) = cwt_power(torch.from_numpy(x), freqs_hz=FREQS, n_cycles=n_cycles, columns=[stretch])
    edge = int(n_columns * max(0, 7 - start_s) / duration_s)  # MNE pads with zeros
    inner = slice(edge, n_columns - edge)
    error = (ours.numpy() - expected)[..., inner]
    per_freq = np.abs(error).mean((0, 2)) / expected[..., inner].mean((0, 2))
    assert per_freq.max() < 0.03
    logs = np.log(np.maximum(ours.numpy(), 1e-12)) - np.log(np.maximum(expected, 1e-12))
    assert np.median(np.abs(logs[..., inner])) < 0.02


def test_a_burst_is_found_at_its_frequency_and_time():
    times = torch.arange(10_000) / SFREQ
    burst = torch.sin(2 * torch.pi * 6 * times) * torch.exp(-((times - 31) ** 2) / 2)
    (power,) = cwt_power(burst[None], freqs_hz=FREQS, n_cycles=6, columns=[(0, 50, 100)])
    frequency, column = np.unravel_index(int(power[0].argmax()), power[0].shape)
    assert abs(np.log(FREQS[frequency] / 6)) < 0.08
    assert column in (61, 62)


def test_white_noise_has_its_density_at_every_frequency():
    x = torch.randn(64, 10_000, generator=torch.Generator().manual_seed(0))
    (power,) = cwt_power(x, freqs_hz=FREQS, n_cycles=6, columns=[(0, 50, 10)], pool=64)
    np.testing.assert_allclose(power[0].mean(-1).numpy() * SFREQ, 1, rtol=0.12)


def test_float32_agrees_with_float64():
    x = torch.randn(4, 10_000, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    options = {"freqs_hz": FREQS, "n_cycles": 6, "columns": [(0, 50, 64)], "pool": 4}
    (single,), (double,) = cwt_power(x, **options), cwt_power(x.double(), **options)
    assert ((single - double).abs() / double.clamp_min(1e-6)).median() < 1e-3
