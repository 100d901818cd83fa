from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.registry.evidence import check_no_leak, network_plan
from hms_pipeline.registry.gate import Check, compare, compare_first, failed, limits
from hms_pipeline.system.errors import InputError

GATE = load_params(Path(__file__).parents[3] / "params.yaml").gate


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    losses = rng.gamma(2.0, 0.2, size=200)
    patients = np.repeat(np.arange(40), 5)
    plurality = np.eye(6, dtype=bool)[rng.integers(0, 6, 200)]
    return losses, patients, plurality


def names(checks: list[Check]) -> set[str]:
    return {check.name for check in failed(checks)}


def test_clearly_better_passes(windows):
    losses, patients, plurality = windows
    checks = compare(losses * 0.8, losses, patients, plurality, GATE, "champion 1")
    assert names(checks) == set()
    assert "champion 1" in checks[0].sentence


def test_equal_is_refused(windows):
    losses, patients, plurality = windows
    checks = compare(losses, losses, patients, plurality, GATE, "champion 1")
    assert names(checks) == {"gain", "gain_low"}


def test_a_gain_by_chance_is_refused(windows):
    losses, patients, plurality = windows
    noise = np.random.default_rng(1).normal(size=40)
    noise -= noise.mean()
    challenger = losses - 0.005 + noise[patients]  # a gain of 0.005 under patients' spread of 1
    checks = compare(challenger, losses, patients, plurality, GATE, "champion 1")
    assert "gain_low" in names(checks)
    assert "gain" not in names(checks)


def test_one_class_much_worse_is_refused(windows):
    losses, patients, plurality = windows
    challenger = (
        losses * 0.5 + 2 * GATE.max_class_loss * plurality[:, 2] + 0.5 * losses * (plurality[:, 2])
    )
    checks = compare(challenger, losses, patients, plurality, GATE, "champion 1")
    assert names(checks) == {"class_gpd"}


def test_rare_classes_are_not_judged_alone(windows):
    losses, patients, plurality = windows
    rare = plurality.copy()
    rare[:, 0] = False
    rare[:3, 0] = True
    checks = compare(losses, losses, patients, rare, GATE, "champion 1")
    assert "class_seizure" not in {check.name for check in checks}


def test_first_version_must_beat_the_prior(windows):
    losses, patients, _ = windows
    assert names(compare_first(losses * 0.8, losses, patients, GATE)) == set()
    assert names(compare_first(losses, losses, patients, GATE)) == {"gain"}


@pytest.mark.parametrize(
    ("size_mb", "latency_ms", "wrong"),
    [
        (1.0, 1.0, set()),
        (1e6, 1.0, {"size_mb"}),
        (1.0, 1e9, {"latency_ms"}),
        (1.0, float("nan"), {"latency_ms"}),
    ],
)
def test_limits(size_mb, latency_ms, wrong):
    assert names(limits(size_mb, latency_ms, "cpu", GATE)) == wrong


class TestNetworkPlan:
    folds = pd.DataFrame({"patient_id": [1, 1, 2, 3], "fold": [0, 0, 1, 2]})
    table = pd.DataFrame({"label_id": [10, 20, 90], "patient_id": [1, 2, 9]})

    def test_known_patients_get_their_held_out_fold_and_new_ones_all(self):
        plan = network_plan(self.table, self.folds, 3)
        found = plan.groupby("label_id")["network"].apply(list).to_dict()
        assert found == {10: [0], 20: [1], 90: [0, 1, 2]}

    def test_never_a_network_that_saw_the_patient(self):
        check_no_leak(network_plan(self.table, self.folds, 3), self.folds)

    def test_a_planted_leak_is_found(self):
        plan = network_plan(self.table, self.folds, 3)
        plan.loc[plan["label_id"] == 20, "network"] = 2
        with pytest.raises(InputError, match=r"fold 2 were trained on patient 2"):
            check_no_leak(plan, self.folds)

    def test_a_patient_in_two_folds_is_refused(self):
        folds = pd.concat([self.folds, pd.DataFrame({"patient_id": [1], "fold": [1]})])
        with pytest.raises(InputError, match="patient 1 is in two folds"):
            network_plan(self.table, folds, 3)
