import copy

import pytest
import torch
from torch import nn

from hms_pipeline.config.members import MemberParams
from hms_pipeline.inference.networks import (
    HALF_FROM,
    FoldGroup,
    GraphPool,
    Undrawn,
    answer,
    fold_normalisation,
    with_weights,
)
from hms_pipeline.models import build_model


def shaken(network: nn.Module) -> nn.Module:
    """Give normalisations running statistics that matter."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return network.eval()


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class Shared(nn.Module):
    """The convolution's output is also used around its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return (y + self.norm(y)).mean((2, 3))


@pytest.fixture
def x():
    return torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_folding_changes_no_answer_and_leaves_no_normalisation(x):
    network = shaken(plain())
    before = network(x)
    assert fold_normalisation([network], [x])
    torch.testing.assert_close(network(x), before, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@torch.inference_mode()
def test_a_twin_answers_by_its_own_weights_and_leaves_the_first_alone(x):
    with torch.device("meta"):
        blank = plain().eval()
    first, second = shaken(plain()), shaken(plain())
    twins = [with_weights(blank, network.state_dict()) for network in (first, second)]
    expected = [first(x), second(x)]
    fold_normalisation(twins[:1], [x])
    for twin, right in zip(twins, expected, strict=True):
        torch.testing.assert_close(twin(x), right, atol=1e-5, rtol=1e-5)
    assert all(weight.is_meta for weight in blank.state_dict().values())


def test_what_is_built_for_trained_weights_draws_none():
    before = torch.get_rng_state()
    with Undrawn():
        built = nn.Sequential(plain(), nn.Linear(6, 6), nn.GRU(6, 6), nn.LayerNorm(6))
    assert torch.equal(torch.get_rng_state(), before)
    drawn = nn.Sequential(plain(), nn.Linear(6, 6), nn.GRU(6, 6), nn.LayerNorm(6))
    assert not torch.equal(torch.get_rng_state(), before)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (built, drawn)]
    assert shapes[0] == shapes[1]


@torch.inference_mode()
def test_nothing_is_folded_where_it_would_change_the_answer(x):
    network = shaken(Shared())
    before, keys = network(x), set(network.state_dict())
    assert not fold_normalisation([network], [x])
    torch.testing.assert_close(network(x), before)
    assert set(network.state_dict()) == keys


@torch.inference_mode()
def test_group_equals_the_loop(x):
    torch.manual_seed(0)
    networks = [shaken(plain()) for _ in range(3)]
    expected = torch.stack([network(x).softmax(1) for network in networks])
    group = FoldGroup(copy.deepcopy(networks), [(4, 12, 12)], GraphPool(torch.device("cpu")))
    torch.testing.assert_close(group([x]), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(group.only([2])([x]), expected[2:], atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.inference_mode()
def test_graphs_equal_the_loop_for_every_batch_size(x):
    device = torch.device("cuda")
    torch.manual_seed(0)
    networks = [shaken(plain()).to(device) for _ in range(3)]
    group = FoldGroup(copy.deepcopy(networks), [(4, 12, 12)], GraphPool(device))
    for size in (1, 3, 5, 64, 65):
        batch = torch.randn(size, 4, 12, 12, device=device)
        expected = torch.stack([network(batch).softmax(1) for network in networks])
        torch.testing.assert_close(group([batch]), expected, atol=1e-3, rtol=1e-3)


def test_a_smaller_batch_is_captured_when_it_comes_again():
    group = FoldGroup([plain().eval()], [(4, 12, 12)], GraphPool(torch.device("cpu")))
    waits = []
    for size in (64, 64, 4, 4, 4, 1, 64):
        kind = size, size >= HALF_FROM
        waits.append(group._waits(kind))
        if not waits[-1]:
            group._graphs[kind] = None
    assert waits == [False, False, True, False, False, True, False]


def test_how_many_windows_are_asked_decides_their_precision_and_nothing_before_them(monkeypatch):
    group = FoldGroup([plain().eval()], [(4, 12, 12)], GraphPool(torch.device("cpu")))
    group.pool.device = torch.device("cuda")
    asked = []
    monkeypatch.setattr(group, "_replay", lambda views, half: asked.append(half))
    monkeypatch.setattr(group, "_loop", lambda views, half: asked.append(half))
    sizes = (64, 3, 15, 16, 65, 3, 15, 1)
    for n in sizes:
        group([torch.zeros(n, 4, 12, 12)])
    assert asked == [n >= HALF_FROM for n in sizes]


WAVES, IMAGE = (18, 320), (4, 64, 64)
OPTIONS = {"width": 0.25, "depth": 0.1}
ARCHITECTURES = {
    "efficientnet_v2s": ([IMAGE], OPTIONS),
    "eegnet": ([WAVES], {"width": 8, "hidden": 16, "n_blocks": 2}),
    "multi": ([WAVES, IMAGE], {"wave_width": 8, "hidden": 16, "n_blocks": 2, **OPTIONS}),
}


@torch.inference_mode()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_half_precision_answers_as_float32(architecture):
    shapes, options = ARCHITECTURES[architecture]
    views = tuple(f"view{k}" for k in range(len(shapes)))
    member = MemberParams(architecture=architecture, views=views, model=options)
    torch.manual_seed(0)
    network = build_model(member, shapes)
    inputs = [torch.randn(4, *shape) for shape in shapes]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network(*inputs)  # in training, normalisation makes windows differ
    network.eval()
    network.head.weight.data.div_(network(*inputs).std(0).mean())
    network.head.bias.data.sub_(network(*inputs).mean(0))
    exact = answer(network, inputs, half=False)
    assert exact.std(0).max() > 0.05  # it answers the windows differently
    moved = (answer(network, inputs, half=True) - exact).abs().max()
    assert 0 < moved < 2e-2


def test_a_window_that_half_precision_cannot_hold_is_answered_in_float32(x):
    network = plain().eval()
    network[0].weight.data.mul_(1e5)
    network[3].weight.data.mul_(1e-5)
    group = FoldGroup([network], [tuple(x.shape[1:])], GraphPool(torch.device("cpu")))
    with torch.inference_mode():  # as scoring does; the group is opened outside of it
        assert not torch.isfinite(answer(group.networks[0], [x], half=True)).all()
    torch.testing.assert_close(group.exactly([x])[0].sum(1), torch.ones(3))
