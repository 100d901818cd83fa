"""Metrics, schedules, loss, state and step, each against a reference."""

from __future__ import annotations

import errno
import math
import resource

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch import nn

from hms_pipeline.config.members import MemberParams
from hms_pipeline.datasets.augmentations import Augmenter, ViewInfo
from hms_pipeline.models import build_model
from hms_pipeline.system import compiler
from hms_pipeline.system.device import choose_device
from hms_pipeline.system.errors import InputError
from hms_pipeline.training import step as step_module
from hms_pipeline.training.checkpoint import write_tensors
from hms_pipeline.training.fit import start_from_prior
from hms_pipeline.training.metrics import by_slice, kl_divergence
from hms_pipeline.training.schedule import ema_weights, learning_rates
from hms_pipeline.training.state import TrainState
from hms_pipeline.training.step import COMPILED_STEPS, PlainStep, kl_loss, make_step

WAVES = ViewInfo("waves", (2, 16), (1, 0), (1.0, 1.0))


def distributions(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(6, 0.4), n)


def test_kl_equals_scipys():
    target, probs = distributions(40, 0), distributions(40, 1)
    target[0] = [0, 0, 1, 0, 0, 0]
    expected = rel_entr(target, np.clip(probs, 1e-15, 1)).sum(1).mean()
    assert kl_divergence(target, probs) == pytest.approx(expected, abs=1e-12)


def test_kl_of_itself_is_zero_and_of_certain_errors_finite():
    target = distributions(5, 0)
    assert kl_divergence(target, target) == pytest.approx(0, abs=1e-12)
    assert kl_divergence(np.eye(6)[:1], np.eye(6)[1:2]) == pytest.approx(-math.log(1e-15))


def test_kl_refuses_other_shapes():
    with pytest.raises(ValueError, match="one shape"):
        kl_divergence(np.ones((3, 6)), np.ones((2, 6)))


def test_slices_join_to_all():
    target, probs = distributions(60, 0), distributions(60, 1)
    n_votes = np.repeat([1, 5, 14], 20)
    scores = by_slice(target, probs, n_votes)
    parts = [scores["1-2"], scores["3-9"], scores[">=10"]]
    assert scores["all"] == pytest.approx(np.mean(parts))
    assert math.isnan(by_slice(target, probs, np.full(60, 12))["1-2"])


def test_loss_is_the_metric():
    logits = torch.randn(30, 6, dtype=torch.float64)
    target = torch.from_numpy(distributions(30, 0))
    probs = logits.softmax(1).numpy()
    assert kl_loss(logits, target).item() == pytest.approx(
        kl_divergence(target.numpy(), probs), rel=1e-5
    )


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_one_cycle_equals_torchs():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=40)
    expected = []
    for _ in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step() if len(expected) < 40 else None
    np.testing.assert_allclose(learning_rates("onecycle", 40, 2e-3), expected, rtol=1e-9)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_any_number_of_steps_has_rates_within_the_maximum(schedule, n_steps):
    rates = learning_rates(schedule, n_steps, 1e-3)
    assert rates.shape == (n_steps,)
    assert (rates >= 0).all()
    assert (rates <= 1e-3 + 1e-12).all()


def test_the_average_starts_quickly_and_settles():
    weights = ema_weights(1000, 0.99)
    assert weights[0] == pytest.approx(0.9)
    assert weights[-1] == pytest.approx(0.01)
    assert (np.diff(weights) <= 0).all()


def small_state(ema: bool = True) -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(56, 6))
    return TrainState(model, 0.01, ema=ema)


def one_step(state: TrainState, lr: float = 0.01, clip: float = 1e9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(8, 2, 16, generator=generator).half()]
    target = torch.softmax(torch.randn(8, 6, generator=generator), 1)
    step = PlainStep(state, Augmenter({}, [WAVES]), clip, "float32")
    step(views, target, torch.zeros(8, 0), torch.tensor([lr, 0.25]))
    return step.loss_sum


def test_a_step_equals_torchs_own_adamw():
    state = small_state()
    reference = small_state().model
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in reference.parameters() if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in reference.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=0.01,
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 2, 16, generator=generator).half().float()
    target = torch.softmax(torch.randn(8, 6, generator=generator), 1)
    kl_loss(reference(x), target).backward()
    optimizer.step()
    assert torch.isfinite(one_step(state))
    for ours, theirs in zip(state.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_gradients_are_clipped_to_the_norm():
    state = small_state()
    one_step(state, clip=1e-3)
    norm = torch.stack([p.grad.norm() for p in state.params]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-2)


def test_the_average_moves_toward_the_network_and_evaluation_borrows_it():
    state = small_state()
    before = [tensor.clone() for tensor in state.live]
    one_step(state)
    for old, new, average in zip(before, state.live, state.ema, strict=True):
        torch.testing.assert_close(average, old + 0.25 * (new - old))
    live = state.model[0].weight.clone()
    with state.averaged() as model:
        assert not model.training
        torch.testing.assert_close(model[0].weight, state.ema[0])
    assert torch.equal(state.model[0].weight, live)
    assert state.model.training


def test_the_first_logits_follow_the_classes_shares():
    model = build_model(
        MemberParams(architecture="eegnet", views=("a",), model={"width": 4, "hidden": 8}),
        [(8, 640)],
    )
    share = np.array([0.1, 0.2, 0.1, 0.1, 0.2, 0.3])
    start_from_prior(model, np.tile(share, (4, 1)))
    np.testing.assert_allclose(model.head.bias.detach().softmax(0), share, rtol=1e-5)


def test_a_stage_starts_from_the_average_with_a_fresh_optimiser():
    state = small_state()
    one_step(state)
    state.start_stage()
    torch.testing.assert_close(state.model[0].weight, state.ema[0])
    assert all(not t.any() for name, t in state.tensors().items() if name.startswith("optimizer/"))


def test_loading_keeps_every_tensor_in_its_place():
    state = small_state()
    kept, places = state.snapshot(), {k: t.data_ptr() for k, t in state.tensors().items()}
    one_step(state)
    state.load(kept)
    assert places == {k: t.data_ptr() for k, t in state.tensors().items()}
    assert all(torch.equal(t, kept[k]) for k, t in state.tensors().items())


def test_devices_that_are_not_there_are_refused():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="is not there"):
        choose_device("cuda:99")
    with pytest.raises(InputError, match="device must be 'auto'"):
        choose_device("banana")


def test_weights_that_a_disk_does_not_take_are_an_error_of_the_system(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="too large") as error:
            write_tensors(tmp_path / "a.safetensors", {"a": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert error.value.filename == str(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("n_steps", "works", "expected"),
    [
        (COMPILED_STEPS, True, True),
        (COMPILED_STEPS, False, False),
        (COMPILED_STEPS - 1, True, False),
    ],
)
def test_long_trainings_are_compiled_and_captured_where_that_fails(
    monkeypatch, n_steps, works, expected
):
    monkeypatch.setattr(compiler, "_failed", set())
    monkeypatch.delenv(compiler.CACHE, raising=False)
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: lambda *views: model(*views))

    class Captured:
        def __init__(self, plain, shapes, batch_size) -> None:
            self.compiled = plain.network is not plain.state.model
            if self.compiled and not works:
                raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(step_module, "GraphedStep", Captured)
    plain = PlainStep(small_state(), Augmenter({}, [WAVES]), 1.0, "float32")
    plain.device = torch.device("cuda")  # the step is not run
    step = make_step(plain, [(2, 16)], 8, n_steps)
    assert isinstance(step, Captured)
    assert step.compiled == expected
