"""The convex solvers against scipy's, and the properties of their solutions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from hms_pipeline.ensemble.calibration import calibrate, fit_calibration
from hms_pipeline.ensemble.weights import (
    PLAIN,
    data_hessian,
    fit_weights,
    greedy_weights,
)

from .panel import make_panel

EQUAL = np.full(3, 1 / 3)


@pytest.fixture(scope="module")
def problem():
    """Terms (n_members, n_terms) and shares of the mean."""
    panel = make_panel(n_windows=200)
    rows, classes = np.nonzero(panel.target)
    return panel.oof[:, rows, classes], panel.target[rows, classes] / 200


def loss(weights, probs, share, shrinkage):
    return -share @ np.log(weights @ probs) - shrinkage / 3 * np.log(3 * weights).sum()


@pytest.mark.parametrize("shrinkage", [0.1, 0.003, PLAIN])
def test_weights_equal_those_of_a_general_solver(problem, shrinkage):
    weights = fit_weights(*problem, shrinkage, EQUAL)
    slsqp = minimize(
        loss,
        EQUAL,
        args=(*problem, shrinkage),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert loss(weights, *problem, shrinkage) <= slsqp.fun + 1e-8
    np.testing.assert_allclose(weights, slsqp.x, atol=2e-3)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()


def test_shrinkage_pulls_to_the_equal_mean(problem):
    distance = [
        np.abs(fit_weights(*problem, s, EQUAL) - EQUAL).max() for s in (1e3, 1.0, 0.1, 1e-3)
    ]
    assert distance[0] < 1e-3
    assert distance == sorted(distance)


def test_a_borrowed_curvature_leads_to_the_same_weights(problem):
    exact = fit_weights(*problem, 0.01, EQUAL)
    chord = fit_weights(*problem, 0.01, EQUAL, data_hessian(*problem, EQUAL))
    np.testing.assert_allclose(chord, exact, atol=1e-5)


def test_hessian_equals_finite_differences_of_the_gradient(problem):
    probs, share = problem
    weights = np.array([0.5, 0.3, 0.2])

    def gradient(w):
        return -probs @ (share / (w @ probs))

    numeric = np.stack(
        [(gradient(weights + 1e-6 * e) - gradient(weights - 1e-6 * e)) / 2e-6 for e in np.eye(3)]
    )
    np.testing.assert_allclose(data_hessian(probs, share, weights), numeric, rtol=1e-5)


def test_a_copy_of_a_member_shares_its_weight(problem):
    probs, share = problem
    weights = fit_weights(np.stack([probs[0], probs[0], probs[2]]), share, 0.01, EQUAL)
    assert weights[0] == pytest.approx(weights[1], abs=1e-6)


def test_greedy_never_loses_to_the_best_single_member(problem):
    probs, share = problem
    weights = greedy_weights(probs, share, rounds=20)
    singles = -np.log(probs) @ share
    assert -share @ np.log(weights @ probs) <= singles.min() + 1e-6
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_array_equal(greedy_weights(probs, share, 1), np.eye(3)[singles.argmin()])


def calibration_problem(sharpness):
    panel = make_panel(n_windows=1500, noise=(0.05,), sharpness=sharpness, seed=3)
    return np.log(panel.oof[0]), panel.target


def test_calibration_finds_a_known_temperature_and_offsets():
    log_probs, target = calibration_problem(sharpness=1.6)
    offsets = np.array([0.5, -0.5, 0.2, -0.2, 0.0, 0.0])
    theta = fit_calibration((log_probs - offsets).T, target.T, ridge=1e-6)
    assert 1 / theta[0] == pytest.approx(1.6, rel=0.06)
    np.testing.assert_allclose(theta[1:], offsets * theta[0], atol=0.1)
    assert theta[1:].sum() == pytest.approx(0, abs=1e-12)


def test_calibration_equals_a_general_solver():
    log_probs, target = calibration_problem(sharpness=1.4)

    def objective(theta, ridge=0.03):
        probs = calibrate(log_probs, theta[0], theta[1:])
        penalty = (theta[0] - 1) ** 2 + (theta[1:] ** 2).sum()
        return -(target * np.log(probs)).sum() / len(target) + ridge / 2 * penalty

    bfgs = minimize(objective, np.array([1.0, 0, 0, 0, 0, 0, 0]), method="BFGS", tol=1e-9)
    theta = fit_calibration(log_probs.T, target.T, ridge=0.03)
    assert objective(theta) <= bfgs.fun + 1e-9
    np.testing.assert_allclose(theta, bfgs.x, atol=1e-3)


def test_a_strong_ridge_changes_nothing():
    log_probs, target = calibration_problem(sharpness=2.0)
    theta = fit_calibration(log_probs.T, target.T, ridge=1e6)
    np.testing.assert_allclose(theta, [1, 0, 0, 0, 0, 0, 0], atol=1e-4)


def test_a_class_without_votes_gets_a_finite_negative_offset():
    log_probs, target = calibration_problem(sharpness=1.0)
    target = target.copy()
    target[:, 5] += target[:, 0]
    target[:, 0] = 0
    theta = fit_calibration(log_probs.T, target.T, ridge=0.01)
    assert np.isfinite(theta).all()
    assert theta[1] == theta[1:].min()
