"""The fit of a pool against a general solver, known answers and its own limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from hms_pipeline.ensemble.pool import fit_pool
from hms_pipeline.training.metrics import kl_per_window

from .panel import make_panel

STRENGTHS = {"shrinkage": 0.003, "ridge": 0.03}


def loss(oof, target, weights, temperature, offsets, shrinkage, ridge):
    """What is minimised, written down a second time."""
    probs = softmax(np.log(np.tensordot(weights, oof, 1)) / temperature + offsets, axis=1)
    shift = offsets - (1 - 1 / temperature) * np.log(oof.mean(axis=0)).mean(axis=0)
    shift = shift - shift.mean()
    pull = shrinkage * -np.log(len(oof) * weights).mean()
    pull += ridge / 2 * (np.log(temperature) ** 2 + shift @ shift)
    return pull - (target * np.log(probs)).sum() / len(target)


@pytest.fixture(scope="module")
def panel():
    return make_panel(noise=(0.5, 0.9, 1.6), sharpness=1.4)


@pytest.mark.parametrize(("shrinkage", "ridge"), [(0.1, 0.3), (0.003, 0.03), (1e-5, 1e-4)])
def test_no_other_solver_finds_a_lower_loss(panel, shrinkage, ridge):
    ours = loss(panel.oof, panel.target, *fit_pool(panel.oof, panel.target, shrinkage, ridge),
                shrinkage, ridge)  # fmt: skip
    for seed in range(3):
        start = np.random.default_rng(seed).dirichlet(np.ones(3))
        slsqp = minimize(
            lambda x: loss(panel.oof, panel.target, x[:3], x[3], x[4:], shrinkage, ridge),
            np.concatenate([start, [1.0], np.zeros(6)]),
            method="SLSQP",
            bounds=[(1e-9, 1)] * 3 + [(0.05, 20)] + [(-10, 10)] * 6,
            constraints={"type": "eq", "fun": lambda x: x[:3].sum() - 1},
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert ours <= slsqp.fun + 1e-7


def test_weights_are_on_the_simplex_and_offsets_sum_to_zero(panel):
    weights, temperature, offsets = fit_pool(panel.oof, panel.target, **STRENGTHS)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    assert temperature > 0
    assert offsets.sum() == pytest.approx(0, abs=1e-12)


def test_the_shrinkage_pulls_to_the_equal_mean(panel):
    distance = [
        np.abs(fit_pool(panel.oof, panel.target, s, 0.03)[0] - 1 / 3).max()
        for s in (1e3, 1.0, 0.1, 1e-3)
    ]
    assert distance[0] < 1e-3
    assert distance == sorted(distance)


def test_a_strong_ridge_leaves_the_pool_as_it_is(panel):
    _, temperature, offsets = fit_pool(panel.oof, panel.target, 0.003, 1e6)
    assert temperature == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(offsets, 0, atol=1e-4)


def test_a_copy_of_a_member_shares_its_weight(panel):
    weights, *_ = fit_pool(panel.oof[[0, 0, 2]], panel.target, **STRENGTHS)
    assert weights[0] == pytest.approx(weights[1], abs=1e-5)


def test_a_known_temperature_and_offsets_are_found():
    panel = make_panel(n_windows=1500, noise=(0.05,), sharpness=1.6, seed=3)
    moved = np.array([0.5, -0.5, 0.2, -0.2, 0.0, 0.0])
    oof = softmax(np.log(panel.oof) - moved, axis=2)
    _, temperature, offsets = fit_pool(oof, panel.target, 0.003, 1e-6)
    assert temperature == pytest.approx(1.6, rel=0.06)
    np.testing.assert_allclose(offsets, moved / temperature, atol=0.1)


def test_weights_suit_the_pool_as_it_is_calibrated():
    """A mean of noisy members is flat. Where a temperature may sharpen it, more of them count than
    where the sharpest member alone can."""
    panel = make_panel(n_windows=1000, noise=(1.2, 2, 2, 2, 2, 2), sharpness=0.6)
    together, temperature, _ = fit_pool(panel.oof, panel.target, **STRENGTHS)
    alone, *_ = fit_pool(panel.oof, panel.target, 0.003, 1e6)
    assert temperature < 0.8
    assert (together**2).sum() < 0.8 * (alone**2).sum()


def test_a_ridge_lets_a_temperature_sharpen_about_the_usual_answer():
    """Members that were drawn to the class prior need a temperature; offsets of their own would
    only undo what it does to the prior, and are not charged for that."""
    panel = make_panel(n_windows=1000, noise=(0.5,))
    log_probs = np.log(panel.oof)
    prior = log_probs.mean(axis=1, keepdims=True)
    shy = softmax(prior + 0.4 * (log_probs - prior), axis=2)
    weak, strong = (fit_pool(shy, panel.target, 0.003, ridge) for ridge in (1e-5, 0.03))
    answers = [softmax(np.log(shy[0]) / t + offsets, axis=1) for _, t, offsets in (weak, strong)]
    free, held = (kl_per_window(panel.target, probs).mean() for probs in answers)
    assert strong[1] < 0.6
    assert held < free + 0.005


def test_a_class_without_votes_gets_a_finite_negative_offset():
    panel = make_panel(n_windows=300)
    target = panel.target
    target[:, 5] += target[:, 0]
    target[:, 0] = 0
    _, _, offsets = fit_pool(panel.oof, target, 0.003, 0.01)
    assert np.isfinite(offsets).all()
    assert offsets[0] == offsets.min()
