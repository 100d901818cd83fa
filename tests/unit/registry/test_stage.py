"""Registering: killed between two steps, and faults that are not the challenger's."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hms_pipeline.config import load_params
from hms_pipeline.ensemble import check
from hms_pipeline.registry import evidence, judge, stage
from hms_pipeline.registry.doctor import check_ledger
from hms_pipeline.registry.gate import Check
from hms_pipeline.registry.ledger import Ledger
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import write_sealed
from hms_pipeline.tracking.store import CHAMPION, MODEL

from .conftest import write_small_model

pytestmark = pytest.mark.filterwarnings("ignore")


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def register(shelf, monkeypatch):
    """Registers an ensemble named by its content; the gate finds the given gain."""
    write_sealed(shelf.paths.ensemble / "metrics.json", {"ensemble": {}})
    params = load_params(shelf.paths.params).model_copy(update={"student": None})
    origin = {"git_commit": "unknown", "data": "untracked", "data_origin": "simulated"}
    monkeypatch.setattr(stage, "link_folds", lambda *args: {})
    monkeypatch.setattr(stage, "lineage", lambda *args: origin)
    monkeypatch.setattr(stage, "data_origin", lambda *args: "simulated")
    monkeypatch.setattr(stage, "describe_retrain", lambda *args: None)
    monkeypatch.setattr(stage, "model_card", lambda *args: "")
    monkeypatch.setattr(evidence, "model_checks", lambda *args: ([], {}))
    monkeypatch.setattr(check, "check_ensemble", lambda *args: None)
    monkeypatch.setattr(evidence, "check_version", lambda *args: None)
    monkeypatch.setattr(evidence, "judged_otherwise", lambda *args: [])
    monkeypatch.setattr(judge, "training_tables", lambda *args: shelf.paths.artifacts)

    def run(
        content: str, gain: float = 1.0, networks: str | None = None, **thresholds: float
    ) -> dict:
        check = Check("gain", gain, 0.5, True, f"The gain is {gain}.")
        hashes = {"content_hash": content, "networks_hash": networks or content}
        hashes |= {"blend": {"kind": "equal"}}
        monkeypatch.setattr(stage, "describe_content", lambda *args: hashes)
        monkeypatch.setattr(evidence, "comparison", lambda *args: ([check], {"gain": gain}))
        monkeypatch.setattr(
            stage, "write_model", lambda paths, params, out, *args: write_small_model(out, content)
        )
        gate = params.gate.model_copy(update=thresholds)
        return stage.run(shelf.paths, params.model_copy(update={"gate": gate}))

    return run


@pytest.fixture
def kill(monkeypatch):
    """Kills at a line of the ledger: ``before`` it is written, or after."""
    honest = Ledger.append

    def at(action: str, before: bool) -> None:
        def append(self: Ledger, found: str, **facts: object) -> dict:
            if found == action and before:
                raise Killed
            record = honest(self, found, **facts)
            if found == action:
                raise Killed
            return record

        monkeypatch.setattr(Ledger, "append", append)

    yield at
    monkeypatch.setattr(Ledger, "append", honest)


@pytest.fixture
def resume(monkeypatch, kill, register):
    """Registers, is killed at a line, and registers again."""
    honest = Ledger.append

    def run(action: str, before: bool, content: str, **gate: float) -> dict:
        kill(action, before)
        with pytest.raises(Killed):
            register(content, **gate)
        monkeypatch.setattr(Ledger, "append", honest)
        return register(content, **gate)

    return run


def troubles(shelf) -> list[str]:
    return [finding.advice for finding in check_ledger(shelf.registry) if finding.advice]


def test_a_version_that_a_kill_kept_out_of_the_ledger_gets_its_line(shelf, resume):
    result = resume("register", True, "one")
    assert (result["version"], result["verdict"]) == (1, "promoted")
    assert shelf.actions() == ["register", "intent", "commit"]
    assert troubles(shelf) == []


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("action", ["register", "refuse"])
def test_a_refusal_that_was_cut_off_keeps_its_reasons(shelf, register, resume, action, before):
    register("one")
    result = resume(action, before, "two", gain=0.1)
    assert (result["verdict"], result["champion"]) == ("refused", 1)
    assert result["reasons"] == ["The gain is 0.1."]
    assert shelf.actions().count("refuse") == 1
    assert troubles(shelf) == []


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("action", ["intent", "commit"])
def test_a_promotion_that_was_cut_off_is_finished_with_its_reasons(
    shelf, register, resume, action, before
):
    register("one")
    result = resume(action, before, "two", gain=0.9)
    assert (result["verdict"], result["champion"]) == ("promoted", 2)
    assert result["reasons"] == ["The gain is 0.9."]
    assert troubles(shelf) == []


def test_a_refused_ensemble_stays_out_as_another_version(shelf, register):
    register("one")
    register("two", gain=0.1)
    shelf.registry.client.delete_model_version(MODEL, "2")
    result = register("two", gain=0.9)
    assert (result["version"], result["verdict"]) == (3, "refused")
    assert "it was refused" in result["reasons"][0]


def test_a_broken_champion_refuses_no_challenger(shelf, register):
    register("one")
    registry = shelf.registry
    file = registry.folder(registry.get(1)) / "MLmodel"
    file.write_text("changed")
    with pytest.raises(InputError, match="version 1 does not verify"):
        register("two")
    assert "verdict" not in shelf.registry.get(2).tags
    assert "refuse" not in shelf.actions()
    file.write_text("one")
    assert register("two")["verdict"] == "promoted"
    assert json.loads(shelf.paths.registration.read_text())["aliases"] == ["challenger", CHAMPION]


def test_a_broken_challenger_is_refused(shelf, register, monkeypatch):
    register("one")
    honest = write_small_model

    def spoiled(folder, content):
        model = honest(folder, content)
        monkeypatch.setattr(stage, "model_hashes", lambda _: {"files_sha256": "other"})
        return model

    monkeypatch.setitem(globals(), "write_small_model", spoiled)
    result = register("two")
    assert (result["verdict"], result["champion"]) == ("refused", 1)
    assert "does not verify" in result["reasons"][0]


@pytest.mark.parametrize("broken", [False, True])
def test_the_champions_networks_with_other_settings_come_in_by_promote(
    shelf, register, monkeypatch, broken
):
    register("one")
    check = Check("self_check", 1.0, 0.1, False, "It is broken.")
    monkeypatch.setattr(evidence, "model_checks", lambda *args: ([check] * broken, {}))
    reasons = " ".join(register("two", gain=0.0, networks="one")["reasons"])
    assert "The gain is 0.0." in reasons
    assert ("hms promote 2" in reasons) is not broken


def test_a_refused_version_is_judged_anew_by_other_thresholds_alone(shelf, register):
    register("one")
    assert register("two", gain=0.1)["verdict"] == "refused"
    again = register("two", gain=0.9)  # whatever the gate would find now
    assert (again["verdict"], again["already_registered"]) == ("refused", True)
    other = register("two", gain=0.9, min_gain=0.5)
    assert (other["verdict"], other["version"], other["champion"]) == ("promoted", 2, 2)
    assert shelf.actions().count("register") == 2


def test_a_challenger_that_was_damaged_is_judged_once_it_is_whole(shelf, register, monkeypatch):
    register("one")
    honest = type(shelf.registry).verify
    monkeypatch.setattr(
        type(shelf.registry),
        "verify",
        lambda self, version: (
            (_ for _ in ()).throw(InputError("version 2 does not verify"))
            if version.version in (2, "2")
            else honest(self, version)
        ),
    )
    for _ in range(2):
        result = register("two")
        assert (result["verdict"], result["champion"]) == ("refused", 1)
    monkeypatch.setattr(type(shelf.registry), "verify", honest)
    assert register("two")["verdict"] == "promoted"
    assert shelf.actions().count("refuse") == 1


def test_an_experiment_registers_nothing_and_says_so(shelf, register, monkeypatch):
    register("one")
    before = shelf.actions()
    monkeypatch.setenv("DVC_EXP_NAME", "wild-idea")
    result = register("two")
    assert result["version"] is None
    assert "experiment" in result["verdict"]
    assert "dvc exp apply" in result["reasons"][0]
    assert shelf.actions() == before
    assert len(shelf.registry.versions()) == 1
    monkeypatch.delenv("DVC_EXP_NAME")
    assert register("two")["verdict"] == "promoted"


def test_what_is_registered_and_judged_is_up_to_date_until_something_moves(
    shelf, register, monkeypatch
):
    params = load_params(shelf.paths.params).model_copy(update={"student": None})

    def is_up_to_date() -> bool:
        return stage.is_up_to_date(shelf.paths, params)

    register("one")
    assert is_up_to_date()
    register("two", gain=0.1)  # refused
    assert is_up_to_date()
    gate = params.gate.model_copy(update={"min_gain": params.gate.min_gain + 0.1})
    other = params.model_copy(update={"gate": gate})
    assert not stage.is_up_to_date(shelf.paths, other)  # is judged anew by another threshold
    shelf.promote(2, "manual")
    assert not is_up_to_date()  # registration.json names other aliases
    register("two")
    assert is_up_to_date()
    monkeypatch.setattr(stage, "describe_content", lambda *args: {"content_hash": "three"})
    assert not is_up_to_date()


def test_a_promotion_that_a_kill_left_open_is_not_up_to_date(shelf, register, kill):
    params = load_params(shelf.paths.params).model_copy(update={"student": None})
    register("one")
    register("two", gain=0.1)
    kill("intent", before=False)
    with pytest.raises(Killed):
        shelf.promote(2, "manual")
    assert not stage.is_up_to_date(shelf.paths, params)


@pytest.mark.parametrize("part", ["registry.stage", "registry.api", "training.finished"])
def test_what_has_nothing_to_do_loads_no_network_code(part):
    heavy = ["torch", "timm", "scipy.stats", "scipy.optimize", "matplotlib"]
    code = f"import sys, hms_pipeline.{part}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
