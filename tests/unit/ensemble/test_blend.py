"""Fitting and applying a blend: honesty, fall-backs, small and odd data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hms_pipeline.ensemble.blend import KINDS, Blend, apply_blend, fit_blend
from hms_pipeline.system.errors import InputError
from hms_pipeline.training.metrics import kl_per_window

from .panel import Panel, make_panel


def fit(panel: Panel, **options):
    options = {"n_bootstrap": 200} | options
    return fit_blend(panel.oof, panel.target, panel.folds, patients=panel.patients, **options)


# Drawn panels in which something is wrong or scarce: one good member among bad ones, one that is
# noise, members that know nothing, two folds, few windows, one member.
ODD = {
    "one good": {"noise": (0.3, 4, 4, 4, 4)},
    "one broken": {"noise": (0.7, 0.8, 9)},
    "all bad": {"noise": (6, 6, 6)},
    "too sure": {"noise": (0.5, 0.9), "sharpness": 3.0},
    "too shy": {"noise": (0.5, 0.9), "sharpness": 0.3},
    "two folds": {"n_folds": 2},
    "few windows": {"n_windows": 40},
    "one member": {"noise": (0.8,)},
}


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


def test_equal_members_keep_about_equal_weights():
    result = fit(make_panel(n_windows=300, noise=(0.9, 0.9, 0.9)))
    np.testing.assert_allclose(result.weights, 1 / 3, atol=0.06)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ODD)
def test_no_candidate_reads_better_than_the_chosen_one(name, seed):
    """The best single member, chosen without the fold that judges it, is one of them."""
    panel = make_panel(**ODD[name], seed=seed)
    result = fit(panel)
    chosen = result.table[result.table["chosen"]].iloc[0]
    assert chosen["kl"] == result.table["kl"].min()
    assert (result.table["excess"] >= 0).all()
    single = [result.nested["single"][fold].weights.argmax() for fold in np.unique(panel.folds)]
    for fold, member in enumerate(single):
        elsewhere = panel.folds != fold
        losses = [kl_per_window(panel.target, probs)[elsewhere].mean() for probs in panel.oof]
        assert member == np.argmin(losses)


@pytest.mark.parametrize("name", ODD)
def test_on_new_patients_the_choice_costs_little_against_the_best_member(name):
    """Fitted on one half of the patients, judged on the other: the mean over several draws."""
    excess = []
    for seed in range(6):
        panel = make_panel(**{"n_windows": 400} | ODD[name], seed=seed)
        seen = panel.patients % 4 < 2
        folds = panel.patients // 4 % 3
        result = fit_blend(panel.oof[:, seen], panel.target[seen], folds[seen], n_bootstrap=100)
        chosen = kl_per_window(panel.target[~seen], result.predict(panel.oof[:, ~seen])).mean()
        alone = [kl_per_window(panel.target[~seen], p[~seen]).mean() for p in panel.oof]
        excess.append(chosen - min(alone))
    assert np.mean(excess) < 0.01


def test_of_equal_estimates_the_simpler_kind_is_used():
    lone = make_panel(n_windows=200, noise=(0.5,))
    result = fit(lone, ridge=1e9)  # no calibration, so that all four kinds are the member itself
    assert np.ptp(result.table["kl"]) == pytest.approx(0, abs=1e-9)
    assert result.kind == next(iter(KINDS))


def test_the_evidence_is_paired(panel, fitted):
    """An interval of a difference is that of the same resampled patients."""
    table = fitted.table.set_index("kind")
    row = table.loc["equal_calibrated"]
    assert row["excess_low"] <= row["excess"] <= row["excess_high"]
    assert row["excess_high"] - row["excess_low"] < 0.7 * (row["high"] - row["low"])
    np.testing.assert_allclose(table.loc[fitted.kind, ["excess", "excess_low", "excess_high"]], 0)
    np.testing.assert_allclose(table.loc["equal", ["gain", "gain_low", "gain_high"]], 0)
    assert f"{table['excess'].nsmallest(2).iloc[1]:.4f} more" in fitted.reason


def test_the_table_is_the_nested_estimate(panel, fitted):
    for row in fitted.table.itertuples():
        probs = fitted.nested_predict(panel.oof, panel.folds, row.kind)
        assert row.kl == pytest.approx(kl_per_window(panel.target, probs).mean())
        assert row.low <= row.kl <= row.high
    assert list(fitted.table["kind"]) == list(KINDS)


def test_no_fold_moves_the_blend_that_judges_it(panel):
    """Spoil the votes of one fold: its own nested blends stay the same to the bit."""
    target = panel.target.copy()
    spoiled = panel.folds == 2
    target[spoiled] = np.roll(target[spoiled], 1, axis=1)
    changed, original = (fit_blend(panel.oof, t, panel.folds) for t in (target, panel.target))
    for kind in KINDS:
        assert changed.nested[kind][2].to_dict() == original.nested[kind][2].to_dict()
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
    assert result.candidates["shrunk"].weights[0] < 0.05


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


def test_many_groups_are_merged_and_each_has_its_blend():
    panel = make_panel(n_windows=100)
    result = fit_blend(panel.oof, panel.target, panel.patients, n_bootstrap=100)
    assert set(result.nested["shrunk"]) == set(panel.patients.tolist())
    assert len({id(blend) for blend in result.nested["shrunk"].values()}) == 10
