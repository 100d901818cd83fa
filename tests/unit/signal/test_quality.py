"""Quality measures on channels made to be bad."""

import torch

from hms_pipeline.signal import quality


def noise(n=2000):
    return torch.randn(3, n, generator=torch.Generator().manual_seed(0)) * 20


def test_missing_fraction_counts_what_is_not_finite():
    x = noise()
    x[1, :500] = torch.nan
    x[2, 0] = torch.inf
    assert quality.missing_fraction(x).tolist() == [0.0, 0.25, 1 / 2000] or torch.allclose(
        quality.missing_fraction(x), torch.tensor([0.0, 0.25, 1 / 2000]), atol=1e-6
    )


def test_flat_fraction_finds_runs_and_not_chance():
    x = noise()
    x[0, 400:800] = 3.0
    x[1, ::2] = x[1, 1::2]  # pairs of equal samples are no run
    flat = quality.flat_fraction(x)
    assert abs(flat[0] - 0.2) < 0.01
    assert flat[1:].max() == 0


def test_saturated_fraction():
    x = noise().clamp(-15, 15)
    assert quality.saturated_fraction(x, 15).min() > 0.3
    assert quality.saturated_fraction(x, 16).max() == 0


def test_amplitude_ignores_missing_samples_and_rare_spikes():
    x = noise(10_000)
    x[0, :100] = torch.nan
    x[1, 5] = 1e6
    torch.testing.assert_close(quality.amplitude(x), torch.full((3,), 20 * 1.96), rtol=0.06, atol=0)


def test_line_noise_ratio():
    times = torch.arange(2000) / 200
    x = noise()
    x[1] += 200 * torch.sin(2 * torch.pi * 50 * times)
    x[2] = 0
    ratio = quality.line_noise_ratio(x)
    assert ratio[0] < 0.1
    assert ratio[1] > 0.9
    assert ratio[2] == 0
