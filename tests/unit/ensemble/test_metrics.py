"""Metrics against scikit-learn, scipy and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from hms_pipeline.ensemble import metrics
from hms_pipeline.ensemble.bootstrap import interval, patient_bootstrap

from .panel import make_panel


@pytest.fixture(scope="module")
def panel():
    return make_panel(n_windows=300)


def test_kl_equals_scipys(panel):
    probs = panel.oof[0]
    expected = [entropy(t, p) for t, p in zip(panel.target, probs, strict=True)]
    np.testing.assert_allclose(metrics.kl_per_window(panel.target, probs), expected, atol=1e-12)


def test_log_loss_is_kl_plus_the_entropy_of_the_votes(panel):
    loss = metrics.log_loss(panel.target, panel.oof[0])
    expected = metrics.kl_per_window(panel.target, panel.oof[0]) + entropy(panel.target, axis=1)
    assert loss == pytest.approx(expected.mean())


@pytest.mark.parametrize("decimals", [1, 8])  # one decimal: many ties
def test_auroc_and_auprc_equal_scikit_learns(panel, decimals):
    from sklearn.metrics import average_precision_score, roc_auc_score

    positive = metrics.plurality(panel.votes)
    for k in range(6):
        score = panel.oof[1][:, k].round(decimals)
        assert metrics.auroc(positive[:, k], score) == pytest.approx(
            roc_auc_score(positive[:, k], score)
        )
        assert metrics.auprc(positive[:, k], score) == pytest.approx(
            average_precision_score(positive[:, k], score)
        )


def test_a_class_that_never_occurs_has_no_auroc_and_no_auprc():
    nobody = np.zeros(4, dtype=bool)
    assert metrics.auroc(nobody, np.arange(4.0)) is None
    assert metrics.auprc(nobody, np.arange(4.0)) is None
    assert metrics.auroc(~nobody, np.arange(4.0)) is None


def test_confusion_equals_scikit_learns_without_ties(panel):
    from sklearn.metrics import confusion_matrix

    unique = metrics.plurality(panel.votes).sum(axis=1) == 1
    votes, probs = panel.votes[unique], panel.oof[0][unique]
    expected = confusion_matrix(votes.argmax(1), probs.argmax(1), labels=range(6))
    np.testing.assert_allclose(metrics.confusion(votes, probs), expected)


def test_a_tied_plurality_counts_half_in_both_rows():
    result = metrics.confusion(np.array([[3.0, 3, 0, 0, 0, 0]]), np.eye(6)[[1]])
    assert result[0, 1] == result[1, 1] == 0.5
    assert result.sum() == 1


def test_calibration_error_of_a_constant_is_its_distance_from_the_mean_share():
    target = np.eye(6)[[0, 0, 0, 1]]
    probs = np.tile([0.5, 0.5, 0, 0, 0, 0], (4, 1))
    np.testing.assert_allclose(
        metrics.calibration_error(target, probs, bins=10), [0.25, 0.25, 0, 0, 0, 0]
    )


def test_a_perfectly_calibrated_answer_has_no_calibration_error(panel):
    np.testing.assert_allclose(
        metrics.calibration_error(panel.target, panel.target, bins=10), 0, atol=1e-12
    )


def test_agreement_by_leaving_each_expert_out():
    votes = np.array([[3, 1, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]])
    probs = np.eye(6)[[0, 0, 0]]
    by_hand = []
    for row in votes[:2]:  # one vote alone has nobody to agree with
        raters = np.repeat(np.arange(6), row)
        by_hand.append(np.mean([np.delete(raters, i) == r for i, r in enumerate(raters)]))
    result = metrics.agreement(votes, probs)
    assert result["experts"] == pytest.approx(np.mean(by_hand))
    assert result["model"] == pytest.approx((3 / 4 + 0) / 2)
    assert metrics.agreement(votes[2:], probs[2:]) is None


def test_evaluate_is_finite_or_none_on_one_window():
    result = metrics.evaluate(np.array([[0, 0, 0, 0, 0, 1]]), np.full((1, 6), 1 / 6), bins=10)
    assert result["agreement"] is None
    assert set(result["auroc"].values()) == {None}
    numbers = [v for v in result.values() if isinstance(v, float)]
    assert np.isfinite(numbers).all()


def test_bootstrap_of_a_constant_has_no_width():
    samples = patient_bootstrap(np.full((10, 1), 0.3), np.arange(10) // 2, 200, seed=0)
    assert interval(samples[:, 0], 0.9) == pytest.approx((0.3, 0.3))


def test_bootstrap_by_patient_is_wider_than_by_window():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 10)
    losses = (rng.normal(size=40)[patients] + 0.1 * rng.normal(size=400))[:, None]
    by_patient = patient_bootstrap(losses, patients, 500, seed=0)
    by_window = patient_bootstrap(losses, np.arange(400), 500, seed=0)
    assert by_patient.std() > 2 * by_window.std()


def test_bootstrap_is_paired():
    rng = np.random.default_rng(0)
    loss = rng.normal(size=200)
    samples = patient_bootstrap(np.stack([loss + 0.1, loss], 1), np.arange(200) // 3, 300, seed=1)
    np.testing.assert_allclose(samples[:, 0] - samples[:, 1], 0.1)


def test_disagreement_is_zero_for_one_voice_and_log_two_for_two() -> None:
    probs = np.full((2, 2, 6), np.nan)
    probs[0] = np.eye(6)[0]
    probs[1, 1] = np.eye(6)[1]
    np.testing.assert_allclose(metrics.disagreement(probs), [0, np.log(2)])
