"""Wave views: band, clip and scale as stated."""

import pytest
import torch

from hms_pipeline.features.waves import filtered_waves
from hms_pipeline.system.errors import InputError

OPTIONS = {
    "low_hz": 0.5, "high_hz": 20.0, "order": 4, "rate_hz": 100.0, "clip_uv": 1024.0,
    "scale_uv": 32.0,
}  # fmt: skip


def test_a_sine_in_the_band_keeps_its_microvolts():
    times = torch.arange(10_000) / 200
    out = filtered_waves((64 * torch.sin(2 * torch.pi * 4 * times))[None, None], **OPTIONS)
    assert out.shape == (1, 1, 5000)
    assert abs(out[..., 500:-500].abs().max() - 2) < 0.01


def test_values_are_bounded_by_clip_over_scale():
    x = 1e5 * torch.randn(1, 3, 10_000, generator=torch.Generator().manual_seed(0))
    assert filtered_waves(x, **OPTIONS).abs().max() == 32


@pytest.mark.parametrize("rate_hz", [40.0, 400.0])
def test_a_rate_that_cannot_hold_the_band_is_refused(rate_hz):
    with pytest.raises(InputError, match="rate_hz needs to lie above 40 Hz"):
        filtered_waves(torch.zeros(1, 1, 10_000), **{**OPTIONS, "rate_hz": rate_hz})
