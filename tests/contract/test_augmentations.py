"""Every augmentation of the catalogue, on images and waves."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hms_pipeline.config.options import options_of
from hms_pipeline.datasets.augmentations import AUGMENTATIONS, Augmenter, ViewInfo
from hms_pipeline.system.errors import InputError
from tests.recipes import HOSTILE, unbounded

BATCH = 16
SCALE = {"low": -5.0, "high": 12.0, "mean": 1.0, "std": 2.0}
BAND = {"low_hz": 0.5, "high_hz": 20.0, "rate_hz": 50.0}
IMAGE = ViewInfo("image", (4, 12, 40), (1, 0, 3, 2), (1.0,) * 4, BAND | {"scale": SCALE})
WAVES = ViewInfo("waves", (3, 100), (1, 0, 2), (1.0, 1.0, -1.0), BAND | {"scale_uv": 32.0})
OPTIONS = {
    "probability": 1.0, "max_fraction": 0.3, "beta": 0.5, "max_db": 6.0, "max_low_hz": 2.0,
    "min_high_hz": 12.0, "max_uv": 20.0,
}  # fmt: skip


def options(name: str, probability: float = 1.0) -> dict[str, float]:
    """A value for each parameter; a new one needs an entry in OPTIONS."""
    accepted = inspect.signature(AUGMENTATIONS[name]).parameters
    missing = set(accepted) - set(OPTIONS)
    assert not missing, f"{name}: add a value for {missing} to OPTIONS of this test"
    return {key: OPTIONS[key] for key in accepted} | {"probability": probability}


def views() -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.softmax(torch.randn(BATCH, 6, generator=generator), 1)
    return [torch.randn(BATCH, *v.shape, generator=generator) + 5 for v in (IMAGE, WAVES)], target


def drawn(augmenter: Augmenter, seed: int = 0) -> torch.Tensor:
    return augmenter.draw(np.random.default_rng(seed), 3, BATCH)[1]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shapes_stay_targets_sum_to_one_and_something_changes(name):
    augmenter = Augmenter({name: options(name)}, [IMAGE, WAVES])
    before, target = views()
    after, new_target = augmenter.apply(before, target, drawn(augmenter))
    assert [x.shape for x in after] == [x.shape for x in before]
    assert [x.dtype for x in after] == [torch.float32] * 2
    torch.testing.assert_close(new_target.sum(1), torch.ones(BATCH))
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_parameters_can_be_replayed(name):
    augmenter = Augmenter({name: options(name, 0.5)}, [IMAGE, WAVES])
    before, target = views()
    first, _ = augmenter.apply(before, target, drawn(augmenter))
    again, _ = augmenter.apply(before, target, drawn(augmenter))
    other, _ = augmenter.apply(before, target, drawn(augmenter, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_inputs_are_left_as_they_were(name):
    augmenter = Augmenter({name: options(name)}, [IMAGE, WAVES])
    before, target = views()
    kept = [x.clone() for x in before]
    augmenter.apply(before, target, drawn(augmenter))
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_probability_zero_is_off(name):
    augmenter = Augmenter({name: options(name, 0.0)}, [IMAGE, WAVES])
    before, target = views()
    after, new_target = augmenter.apply(before, target, drawn(augmenter))
    assert augmenter.n_columns == 0
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert torch.equal(new_target, target)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_wrong_parameter_is_one_sentence(name):
    at = rf"training\.augmentation\.{name}"
    with pytest.raises(InputError, match=rf"unknown key '{at}\.banana'. Choose one of .*proba"):
        Augmenter({name: options(name) | {"banana": 1.0}}, [IMAGE])
    with pytest.raises(InputError, match=rf"missing key '{at}\.(probability|max)"):
        Augmenter({name: {}}, [IMAGE])
    with pytest.raises(InputError, match=rf"{at}\.probability: .* equal to 1, but is 2"):
        Augmenter({name: options(name, 2.0)}, [IMAGE])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_parameter_has_bounds(name):
    assert list(unbounded(options_of(AUGMENTATIONS[name].__init__).model_json_schema())) == []


@pytest.mark.parametrize("name", AUGMENTATIONS)
@given(draw=st.data())
@settings(max_examples=30, deadline=None)
def test_any_value_is_refused_by_its_key_or_gives_finite_windows(name, draw):
    values = options(name)
    key = draw.draw(st.sampled_from(sorted(values)))
    values[key] = draw.draw(st.sampled_from(HOSTILE) | st.floats())
    try:
        augmenter = Augmenter({name: values}, [IMAGE, WAVES])
    except InputError as err:
        said = str(err)
        assert key in said
        return
    if augmenter.n_columns:
        after, target = augmenter.apply(*views(), drawn(augmenter))
        assert all(torch.isfinite(x).all() for x in (*after, target))
