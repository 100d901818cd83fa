"""Resizing and scaling of image views."""

import pytest
import torch
from pydantic import ValidationError

from hms_pipeline.features.picture import FramedStretch, LogScale, central, resize
from hms_pipeline.system.errors import InputError


@pytest.mark.parametrize("size", [(20, 10), (5, 10), (20, 30), (5, 3), (64, 48)])
def test_resize_equals_torchs_interpolation(size):
    picture = torch.randn(2, 4, 10, 12, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(
        picture, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    torch.testing.assert_close(resize(picture, *size), expected, rtol=1e-4, atol=1e-5)


def test_resize_keeps_a_constant_and_its_own_size():
    picture = torch.full((1, 4, 7, 9), 3.0)
    torch.testing.assert_close(resize(picture, 13, 4), torch.full((1, 4, 13, 4), 3.0))
    assert resize(picture, 7, 9) is picture


def test_central():
    assert central(torch.arange(10), 4).tolist() == [3, 4, 5, 6]
    with pytest.raises(InputError, match="needs 12 columns"):
        central(torch.arange(10), 12)


def test_scales_and_stretches_are_checked():
    with pytest.raises(ValidationError, match="low must be below high"):
        LogScale(low=2.0, high=1.0, mean=0.0, std=1.0)
    with pytest.raises(ValidationError, match="at most width 8"):
        FramedStretch(duration_s=10.0, width=8, window_s=1.0, frames=9)
