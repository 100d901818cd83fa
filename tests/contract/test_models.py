"""Every architecture of the catalogue, small."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from safetensors.torch import load, save

from hms_pipeline.config.members import MemberParams
from hms_pipeline.config.options import options_of
from hms_pipeline.models import MODELS, build_model
from hms_pipeline.system.errors import InputError
from tests.recipes import HOSTILE

IMAGE, WAVES = (4, 48, 64), (8, 640)
SMALL = {  # architecture -> shapes it takes, options that make it small
    "efficientnet_v2s": ([IMAGE], {"width": 0.25, "depth": 0.2, "drop_path": 0.0}),
    "efficientnet_b4": ([IMAGE], {"width": 0.25, "depth": 0.2, "drop_path": 0.0}),
    "efficientnet_lite0": ([IMAGE], {"drop_path": 0.0}),
    "eegnet": ([WAVES], {"width": 8, "hidden": 16, "n_blocks": 2}),
    "multi": (
        [WAVES, IMAGE],
        {
            "wave_width": 8, "hidden": 16, "n_blocks": 2, "width": 0.25, "depth": 0.2,
            "drop_path": 0.0, "fusion": 16,
        },
    ),
}  # fmt: skip


def build(name: str, **options):
    shapes, small = SMALL[name]
    torch.manual_seed(0)
    member = MemberParams(
        architecture=name, views=("a", "b")[: len(shapes)], model={**small, **options}
    )
    return build_model(member, shapes, name="m"), shapes


def batch(shapes, n: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, *shape, generator=generator) for shape in shapes]


def test_every_registered_architecture_is_tested():
    missing = set(MODELS) ^ set(SMALL)
    assert not missing, f"add {missing} to SMALL of this test, or remove them"


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_a_batch_and_of_one_window(name):
    model, shapes = build(name)
    model.eval()
    with torch.no_grad():
        logits = model(*batch(shapes, 5))
        alone = model(*(x[:1] for x in batch(shapes, 5)))
    assert logits.shape == (5, 6)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(alone, logits[:1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_has_a_gradient(name):
    model, shapes = build(name)
    logits = model(*batch(shapes, 4))
    (torch.log_softmax(logits, 1) * torch.randn_like(logits)).sum().backward()
    without = [
        key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert not without


@pytest.mark.parametrize("name", MODELS)
def test_weights_survive_safetensors(name):
    model, shapes = build(name)
    model.train()(*batch(shapes, 4))  # moves running statistics
    other, _ = build(name)
    other.load_state_dict(load(save(model.state_dict())))
    with torch.no_grad():
        first, second = (m.eval()(*batch(shapes, 3)) for m in (model, other))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", MODELS)
def test_an_overfit_batch_shows_that_it_can_learn(name):
    model, shapes = build(name, drop_rate=0.0)
    views, target = batch(shapes, 6), torch.eye(6)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss = -(target * torch.log_softmax(model(*views), 1)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", MODELS)
def test_images_in_channels_last_give_the_same(name):
    model, shapes = build(name)
    model.eval()
    views = batch(shapes, 2)
    with torch.no_grad():
        plain = model(*views)
        model.to(memory_format=torch.channels_last)
        last = model(
            *(x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in views)
        )
    torch.testing.assert_close(plain, last, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_views_that_do_not_fit_are_one_sentence(name):
    _, small = SMALL[name]
    member = MemberParams(architecture=name, views=("a",), model=small)
    with pytest.raises(InputError, match=r"^members\.m: .*takes"):
        build_model(member, [(3,)], name="m")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"banana": 1}, "banana'. Choose one of"),
        ({"drop_rate": "high"}, "drop_rate: Input should be a valid number"),
    ],
)
def test_wrong_options_are_one_sentence(name, option, sentence):
    with pytest.raises(InputError, match=rf"members\.m\.model.*{sentence}"):
        build(name, **option)


@pytest.mark.parametrize("name", sorted(MODELS))
@given(draw=st.data())
@settings(max_examples=20, deadline=None)
def test_any_value_is_refused_by_its_key_or_makes_a_network(name, draw):
    at = draw.draw(st.sampled_from(sorted(options_of(MODELS[name]).model_fields)))
    value = draw.draw(st.sampled_from(HOSTILE) | st.floats(0, 1))
    try:
        model, shapes = build(name, **{at: value})
    except InputError as err:
        said = str(err)
        assert "members.m" in said
        assert at.removeprefix("wave_") in said
        assert len(said) < 600
        return
    with torch.no_grad():
        assert torch.isfinite(model.eval()(*batch(shapes, 1))).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_option_asks_for_a_network_without_end(name):
    hints = get_type_hints(MODELS[name], include_extras=True)
    for option, parameter in inspect.signature(MODELS[name]).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            schema = TypeAdapter(hints[option]).json_schema()
            assert "enum" in schema or schema.keys() & {"maximum", "exclusiveMaximum"}, option
