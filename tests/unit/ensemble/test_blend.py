"""Fitting and applying a blend: honesty, fall-backs, small and odd data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hms_pipeline.ensemble.blend import KINDS, Blend, apply_blend, fit_blend
from hms_pipeline.ensemble.metrics import kl_per_window
from hms_pipeline.ensemble.nesting import nesting_units
from hms_pipeline.system.errors import InputError

from .panel import Panel, make_panel


def fit(panel: Panel, **options):
    options = {"n_bootstrap": 200, "greedy_rounds": 10} | options
    return fit_blend(panel.oof, panel.target, panel.folds, patients=panel.patients, **options)


@pytest.fixture(scope="module")
def panel():
    """Overconfident members of very different skill: weights and temperature both pay."""
    return make_panel(n_windows=800, noise=(0.4, 0.8, 1.6, 1.6), sharpness=1.5)


@pytest.fixture(scope="module")
def fitted(panel):
    return fit(panel)


def test_the_answer_is_a_distribution_and_the_weights_are_on_the_simplex(panel, fitted):
    probs = fitted.predict(panel.oof)
    assert probs.shape == panel.target.shape
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (fitted.weights >= 0).all()


def test_weights_sum_to_one(fitted):
    blends = [fitted, *fitted.candidates.values()]
    blends += [blend for by_group in fitted.nested.values() for blend in by_group.values()]
    for blend in blends:
        assert blend.weights.sum() == pytest.approx(1, abs=1e-15 * len(blend.weights))


def test_where_weights_and_temperature_pay_they_are_used(fitted):
    assert fitted.kind == "shrunk"
    assert fitted.weights.argmax() == 0
    assert fitted.temperature > 1
    assert fitted.table["chosen"].sum() == 1


def test_equal_members_keep_the_equal_mean():
    result = fit(make_panel(n_windows=300, noise=(0.9, 0.9, 0.9)))
    assert result.kind in ("equal", "equal_calibrated")
    np.testing.assert_allclose(result.weights, 1 / 3, rtol=1e-15)


def test_the_table_is_the_nested_estimate(panel, fitted):
    for row in fitted.table.itertuples():
        probs = fitted.nested_predict(panel.oof, panel.folds, row.kind)
        assert row.kl == pytest.approx(kl_per_window(panel.target, probs).mean())
        assert row.low <= row.kl <= row.high
    assert list(fitted.table["kind"]) == list(KINDS)


def test_no_fold_moves_the_blend_that_judges_it(panel):
    """Spoil the votes of one fold: its own nested blends, strengths included, stay the same."""
    target = panel.target.copy()
    spoiled = panel.folds == 2
    target[spoiled] = np.roll(target[spoiled], 1, axis=1)
    changed = fit(Panel(panel.oof, target, panel.folds, panel.patients))
    original = fit(panel)
    for kind in KINDS:
        before, after = original.nested[kind][2], changed.nested[kind][2]
        np.testing.assert_allclose(after.weights, before.weights, atol=1e-4)
        np.testing.assert_allclose(after.offsets, before.offsets, atol=1e-4)
        assert after.temperature == pytest.approx(before.temperature, abs=1e-4)
    assert changed.temperature != pytest.approx(original.temperature, abs=0.05)


def test_members_may_come_in_any_order(panel, fitted):
    order = [2, 0, 3, 1]
    shuffled = fit(Panel(panel.oof[order], panel.votes, panel.folds, panel.patients))
    np.testing.assert_allclose(shuffled.weights, fitted.weights[order], atol=1e-3)


def test_equal_input_gives_equal_bits(panel, fitted):
    again = fit(panel)
    assert json.dumps(again.to_dict()) == json.dumps(fitted.to_dict())
    np.testing.assert_array_equal(again.predict(panel.oof), fitted.predict(panel.oof))


@pytest.mark.parametrize("n_folds", [2, 3, 4])
@pytest.mark.parametrize("n_windows", [6, 20])
def test_few_windows(n_windows, n_folds):
    small = make_panel(n_windows=n_windows, n_folds=n_folds, noise=(0.5, 0.9))
    result = fit(small)
    numbers = result.table.select_dtypes("number").to_numpy()
    assert np.isfinite(numbers).all()
    assert np.isfinite(result.predict(small.oof)).all()


def test_one_member_and_a_missing_class():
    lone = make_panel(n_windows=60, noise=(0.5,))
    votes = lone.votes.copy()
    votes[:, 5] += votes[:, 0]
    votes[:, 0] = 0
    result = fit(Panel(lone.oof, votes, lone.folds, lone.patients))
    np.testing.assert_allclose(result.weights, [1])
    assert np.isfinite(result.predict(lone.oof)).all()


def test_a_single_class_only():
    panel = make_panel(n_windows=40)
    votes = np.zeros_like(panel.votes)
    votes[:, 5] = 12
    result = fit(Panel(panel.oof, votes, panel.folds, panel.patients))
    assert np.isfinite(result.table.select_dtypes("number").to_numpy()).all()


def test_a_member_that_is_certain_and_wrong_costs_no_infinity():
    panel = make_panel(n_windows=60)
    oof = panel.oof.copy()
    oof[0] = np.eye(6)[panel.votes.argmin(axis=1)]
    result = fit(Panel(oof, panel.votes, panel.folds, panel.patients))
    assert np.isfinite(result.table.select_dtypes("number").to_numpy()).all()
    assert result.candidates["plain"].weights[0] < 0.05


def test_absent_members_leave_their_weight_to_the_others():
    panel = make_panel(n_windows=5)
    blend = Blend(
        ("a", "b", "c"), np.array([0.5, 0.3, 0.2]), 1.3, np.array([0.1, 0, 0, 0, 0, -0.1])
    )
    partial = panel.oof.copy()
    partial[0, 2:] = np.nan
    probs = apply_blend(partial, blend)
    two = Blend(("b", "c"), np.array([0.6, 0.4]), blend.temperature, blend.offsets)
    np.testing.assert_allclose(probs[2:], two.predict(panel.oof[1:, 2:]), atol=1e-12)
    np.testing.assert_allclose(probs[:2], blend.predict(panel.oof[:, :2]), atol=1e-12)


def test_members_with_weight_zero_answer_when_they_are_alone():
    panel = make_panel(n_windows=3, noise=(0.5, 0.5))
    panel.oof[0] = np.nan
    probs = Blend(("a", "b"), np.array([1.0, 0.0])).predict(panel.oof)
    np.testing.assert_allclose(probs, panel.oof[1], atol=1e-8)


def test_a_window_without_members_is_refused():
    with pytest.raises(InputError, match="no member"):
        Blend.equal(["a"]).predict(np.full((1, 2, 6), np.nan))


def test_dict_round_trip_in_any_order(fitted, panel):
    data = json.loads(json.dumps(fitted.to_dict(), sort_keys=True))
    again = Blend.from_dict(data, fitted.members)
    np.testing.assert_array_equal(again.predict(panel.oof), fitted.predict(panel.oof))
    with pytest.raises(InputError, match="needs members"):
        Blend.from_dict(data, ["other"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: (p.oof[:, :5], p.target, p.folds), "Align them by label_id"),
        (lambda p: (p.oof, p.votes, p.folds), "target must sum to 1"),
        (lambda p: (np.log(p.oof), p.target, p.folds), "Pass probabilities"),
        (lambda p: (p.oof, p.target, p.folds * 0), "two folds or more"),
        (lambda p: (p.oof, p.target, p.folds[:5]), "groups needs shape"),
    ],
)
def test_bad_arrays_are_refused(panel, change, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_blend(*change(panel))


def test_units_keep_patients_together_and_many_groups_are_merged():
    panel = make_panel(n_windows=100, n_folds=2)
    units, outer = nesting_units(panel.folds, panel.patients)
    assert len(np.unique(units)) == 4
    for patient in np.unique(panel.patients):
        assert len(np.unique(units[panel.patients == patient])) == 1
    np.testing.assert_array_equal(np.unique(outer), [0, 1])
    units, _ = nesting_units(panel.patients, panel.patients)
    assert len(np.unique(units)) == 10
