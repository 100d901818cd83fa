"""What each augmentation does, by its property."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hms_pipeline.datasets.augmentations import Augmenter, ViewInfo
from hms_pipeline.system.errors import InputError

BATCH = 64
IMAGE = ViewInfo("image", (4, 20, 50), (1, 0, 3, 2), (1.0,) * 4)
WAVES = ViewInfo("waves", (3, 200), (1, 0, 2), (1.0, 1.0, -1.0))


def augment(name: str, view: ViewInfo, x: torch.Tensor, **options: float):
    augmenter = Augmenter({name: options}, [view])
    drawn = augmenter.draw(np.random.default_rng(0), 1, BATCH)[0]
    target = torch.eye(6)[torch.arange(BATCH) % 6]
    (y,), target = augmenter.apply([x], target, drawn)
    return y, target, drawn


def ones(view: ViewInfo) -> torch.Tensor:
    return torch.ones(BATCH, *view.shape)


def noise(view: ViewInfo) -> torch.Tensor:
    return torch.randn(BATCH, *view.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "axis"), [("time_mask", 3), ("frequency_mask", 2)])
def test_a_mask_is_one_stretch_of_bounded_width_in_all_channels(name, axis):
    y, _, _ = augment(name, IMAGE, ones(IMAGE), probability=1.0, max_fraction=0.4)
    other = 5 - axis
    assert torch.equal(y.amin(other), y.amax(other))
    assert torch.equal(y[:, 0], y[:, 3])
    masked = (y[:, 0] == 0).amax(other - 1).int()  # (batch, n)
    edges = torch.diff(masked, prepend=torch.zeros(BATCH, 1), append=torch.zeros(BATCH, 1))
    assert ((edges != 0).sum(1) <= 2).all()
    assert masked.sum(1).max() <= 0.4 * y.shape[axis] + 1
    assert masked.sum(1).float().std() > 0


def test_frequency_masks_leave_waves_alone():
    x = noise(WAVES)
    y, _, _ = augment("frequency_mask", WAVES, x, probability=1.0, max_fraction=0.4)
    assert torch.equal(x, y)


@pytest.mark.parametrize("view", [IMAGE, WAVES])
def test_a_swap_exchanges_sides_and_twice_is_nothing(view):
    x = noise(view)
    y, _, _ = augment("chain_swap", view, x, probability=1.0)
    assert torch.equal(y[:, 0], x[:, 1])
    assert torch.equal(y[:, 2], x[:, view.mirror[2]] * view.mirror_sign[2])
    z, _, _ = augment("chain_swap", view, y, probability=1.0)
    assert torch.equal(x, z)


def test_a_swap_takes_all_views_of_a_window_together():
    augmenter = Augmenter({"chain_swap": {"probability": 0.5}}, [IMAGE, WAVES])
    drawn = augmenter.draw(np.random.default_rng(0), 1, BATCH)[0]
    x = [noise(IMAGE), noise(WAVES)]
    y, _ = augmenter.apply(x, torch.zeros(BATCH, 6), drawn)
    changed = [(a != b).flatten(1).any(1) for a, b in zip(x, y, strict=True)]
    assert torch.equal(*changed)
    assert 0.3 < changed[0].float().mean() < 0.7


@pytest.mark.parametrize("view", [IMAGE, WAVES])
def test_one_channel_is_dropped_and_each_may_be(view):
    y, _, _ = augment("channel_drop", view, ones(view), probability=1.0)
    lost = (y.flatten(2) == 0).all(2)
    assert (lost.sum(1) == 1).all()
    assert lost.any(0).all()
    assert (y.flatten(2)[~lost] == 1).all()


def test_a_shift_moves_waves_and_brings_in_zeros():
    x = torch.arange(1.0, 201.0).expand(BATCH, 3, 200).contiguous()
    y, _, drawn = augment("time_shift", WAVES, x, probability=1.0, max_fraction=0.1)
    for row in range(BATCH):
        shift = round(float(drawn[row, 0]) * 200)
        assert abs(shift) <= 20
        expected = torch.zeros(200)
        if shift >= 0:
            expected[shift:] = x[row, 0, : 200 - shift]
        else:
            expected[:shift] = x[row, 0, -shift:]
        assert torch.equal(y[row, 1], expected)


def test_mixup_blends_windows_and_targets_with_one_weight():
    x = noise(WAVES)
    y, target, drawn = augment("mixup", WAVES, x, probability=0.5, beta=0.5)
    partner, own = drawn[:, 0].long(), drawn[:, 1]
    torch.testing.assert_close(y, own[:, None, None] * x + (1 - own)[:, None, None] * x[partner])
    hard = torch.eye(6)[torch.arange(BATCH) % 6]
    torch.testing.assert_close(target, own[:, None] * hard + (1 - own)[:, None] * hard[partner])
    assert (own == 1).float().mean() > 0.3
    assert len(set(partner.tolist())) == BATCH


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(InputError, match="Unknown augmentation 'banana'"):
        Augmenter({"banana": {}}, [IMAGE])


def test_the_recipes_order_of_augmentations_does_not_matter():
    params = {"mixup": {"probability": 0.5, "beta": 1.0}, "channel_drop": {"probability": 0.5}}
    turned = dict(reversed(params.items()))
    draws = [
        Augmenter(p, [IMAGE]).draw(np.random.default_rng(0), 1, BATCH) for p in (params, turned)
    ]
    assert torch.equal(*draws)
