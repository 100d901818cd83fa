"""Registration, gate, promotion and rollback through the real store."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hms_pipeline.config import Paths, load_params
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.window import Window
from hms_pipeline.ensemble import check as ensemble_check
from hms_pipeline.ensemble.check import check_ensemble
from hms_pipeline.registry import api, evidence, judge, scoring, stage
from hms_pipeline.registry.doctor import check_ledger, examine
from hms_pipeline.registry.evidence import challenger_table, champion_losses
from hms_pipeline.registry.versions import Registry
from hms_pipeline.schema import CLASSES, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import read_sealed, read_table, write_sealed, write_table
from hms_pipeline.tracking.store import CHAMPION, MODEL, open_store

from ..ensembles import Maker, random_window
from ..forked import forked

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

GOOD, POOR, OTHER = 1, 2, 3  # seeds: the experts vote as the first one answers


@pytest.fixture(scope="module")
def model_maker(tmp_path_factory):
    torch.set_num_threads(1)
    maker = Maker(tmp_path_factory.mktemp("model") / "project")
    maker.vote(maker.train(GOOD))
    return maker


@pytest.fixture
def maker(model_maker, tmp_path):
    """A project of its own with no ensemble yet and an empty registry."""
    return copied(model_maker, tmp_path / "project")


@pytest.fixture(scope="module")
def poor_project(model_maker, tmp_path_factory):
    maker = copied(model_maker, tmp_path_factory.mktemp("poor") / "project")
    assert register(maker, POOR)["verdict"] == "promoted"
    return maker


@pytest.fixture
def project(poor_project, tmp_path):
    """A project of its own whose champion is version 1, the poor ensemble."""
    return copied(poor_project, tmp_path / "project")


def copied(maker: Maker, root: Path) -> Maker:
    shutil.copytree(maker.paths.params.parent, root)
    copy = object.__new__(Maker)
    copy.__dict__.update(vars(maker))
    copy.paths = Paths(root / "data", root / "artifacts", root / "params.yaml")
    copy.windows, copy.folds = maker.windows.copy(), maker.folds.copy()
    return copy


def register(maker: Maker, seed: int, note: str = "", **gate: object) -> dict:
    maker.ensemble(seed, note)
    return stage.run(maker.paths, maker.with_gate(**gate))


def wrong(paths: Paths) -> list[str]:
    return [finding.advice for finding in check_ledger(Registry.open(paths)) if finding.advice]


def test_life_of_an_ensemble(maker):
    paths = maker.paths
    first = register(maker, POOR)
    assert (first["version"], first["verdict"]) == (1, "promoted")
    assert "the prior" in first["reasons"][0]
    assert json.loads(paths.registration.read_text())["champion"] == 1

    again = stage.run(paths, maker.with_gate())
    assert again["already_registered"]
    assert again["version"] == 1

    equal = register(maker, POOR, note="retrained")
    assert (equal["version"], equal["verdict"], equal["champion"]) == (2, "refused", 1)
    assert "gain 0.0000" in equal["reasons"][0]

    better = register(maker, GOOD)
    assert (better["version"], better["verdict"], better["champion"]) == (3, "promoted", 3)
    assert "champion 1" in better["reasons"][0]

    worse = register(maker, OTHER)
    assert (worse["verdict"], worse["champion"]) == ("refused", 3)

    assert api.rollback(paths, "nurses complain") == 1
    back = register(maker, GOOD)
    assert (back["version"], back["champion"], back["already_registered"]) == (3, 1, True)
    assert wrong(paths) == []
    verdicts = {row["version"]: row["verdict"] for row in api.list_versions(paths)}
    assert verdicts[3] == "promoted, rolled back"

    with pytest.raises(InputError, match="reason"):
        api.promote(paths, 3, " ")
    api.promote(paths, 3, "it was not the model")
    assert api.bundle_of(paths)[0] == 3

    assert api.gc(paths, keep=1) == [2]
    assert {row["version"] for row in api.list_versions(paths)} == {1, 3, 4}
    assert api.model_of(paths)[0] == 3
    assert wrong(paths) == []


def test_content_that_was_rolled_back_stays_out_under_a_new_version(project):
    assert register(project, GOOD)["champion"] == 2
    api.rollback(project.paths, "wrong montage")
    Registry.open(project.paths).client.delete_model_version(MODEL, "2")
    result = register(project, GOOD)
    assert (result["verdict"], result["champion"]) == ("refused", 1)
    assert "wrong montage" in result["reasons"][0]


def test_three_readers_are_judged_on_all_windows_and_it_is_said(maker):
    """No window has the ten votes that the recipe's second stage and its gate ask for."""
    maker.vote(maker.train(GOOD), n_votes=3)
    maker.blend()
    result = stage.run(maker.paths, maker.with_gate())
    assert result["verdict"] == "promoted"
    windows = len(pd.read_parquet(maker.paths.windows))
    assert f"on {windows} windows of" in result["reasons"][0]
    assert any("'stage2' is left out" in reason for reason in result["reasons"])
    assert any("The gate judges on all windows" in reason for reason in result["reasons"])


@pytest.mark.parametrize(
    ("gate", "word"), [({"max_latency_ms": 1e-6}, "ms a window"), ({"max_size_mb": 1e-6}, "MB")]
)
def test_too_slow_or_too_large_is_refused(project, gate, word):
    result = register(project, GOOD, **gate)
    assert (result["verdict"], result["champion"]) == ("refused", 1)
    assert word in result["reasons"][0]


def test_weights_that_give_no_numbers_are_refused(project):
    project.ensemble(GOOD)
    project.worst_weights("eegnet", 1)
    result = stage.run(project.paths, project.with_gate())
    assert (result["verdict"], result["champion"]) == ("refused", 1)
    assert "not finite" in result["reasons"][0]


def test_a_missing_member_is_refused(project):
    project.ensemble(GOOD)
    (project.paths.fold("eegnet", 1) / "weights.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"fold-1/weights.safetensors is missing. Run dvc checkout, or hms train"
    ):
        stage.run(project.paths, project.with_gate())
    assert api.bundle_of(project.paths)[0] == 1


def votes_as_predictions(maker: Maker) -> None:
    path = maker.paths.ensemble / "oof.parquet"
    votes = maker.windows.set_index("label_id")[list(VOTE_COLUMNS)]
    table = read_table(path)
    shares = votes.div(votes.sum(axis=1), axis=0).loc[table["label_id"]]
    table[list(CLASSES)] = shares.to_numpy(np.float32)
    write_table(path, table)


def other_blend(maker: Maker) -> None:
    path = maker.paths.ensemble / "weights.json"
    weights = read_sealed(path, "hms ensemble")
    write_sealed(path, weights | {"kind": "single", "weights": {"eegnet": 1.0, "v2s-spec": 0.0}})


@pytest.mark.parametrize(
    ("replace", "name"), [(votes_as_predictions, "oof.parquet"), (other_blend, "weights.json")]
)
def test_what_the_members_do_not_give_is_not_registered(project, replace, name):
    project.ensemble(GOOD)
    replace(project)
    with pytest.raises(InputError, match=f"{name} must be what the members' out-of-fold"):
        stage.run(project.paths, project.with_gate())
    assert [row["version"] for row in api.list_versions(project.paths)] == [1]


def test_tables_replaced_between_check_and_packaging_are_not_promoted(project, monkeypatch):
    project.ensemble(GOOD)
    honest = ensemble_check.check_ensemble

    def check(paths, params):
        made = honest(paths, params)
        votes_as_predictions(project)
        return made

    monkeypatch.setattr(ensemble_check, "check_ensemble", check)
    result = stage.run(project.paths, project.with_gate())
    assert (result["verdict"], result["champion"]) == ("refused", 1)
    assert "oof.parquet must be what the members" in result["reasons"][0]


@pytest.mark.parametrize("name", ["weights/eegnet/fold-0.safetensors", "code/package/schema.py"])
def test_a_flipped_bit_is_refused(project, name):
    register(project, GOOD)
    api.rollback(project.paths, "to try")
    _, bundle = api.bundle_of(project.paths, 2)
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        api.promote(project.paths, 2, "it is better")
    assert api.model_of(project.paths)[0] == 1


def test_what_happens_behind_the_ledger_is_reported(project):
    register(project, GOOD)
    client = Registry.open(project.paths).client
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    assert any("behind the ledger's back" in advice for advice in wrong(project.paths))
    client.delete_model_version(MODEL, "2")
    assert any("version 2 was deleted" in advice for advice in wrong(project.paths))
    found = examine(project.paths, project.params)
    assert ("wrong", CHAMPION) in {(finding.state, finding.what) for finding in found}


def test_grown_data_is_judged_without_leaks(project, monkeypatch):
    champion = judge._champion(Registry.open(project.paths))
    project.grow(14)
    project.vote(project.train(GOOD))
    project.blend()
    asked = []
    code = evidence.load_code(champion.bundle)
    predictor = evidence.module(code, "inference.predictor").Predictor
    only = predictor.only

    def spy(self, folds):
        asked.append(tuple(folds))
        return only(self, folds)

    monkeypatch.setattr(predictor, "only", spy)
    made = check_ensemble(project.paths, project.params)
    table = challenger_table(project.paths, project.with_gate(), made)
    losses = champion_losses(champion, table, project.paths.data)
    assert np.isfinite(losses).all()
    assert asked == [(0,), (1,)]  # new patients by every fold; known ones are in its OOF

    moved = table.copy()
    moved["eeg_label_offset_seconds"] += 2.0  # other windows of known patients
    asked.clear()
    seen = []
    monkeypatch.setattr(evidence, "check_no_leak", lambda plan, folds: seen.append(plan))
    champion_losses(champion, moved, project.paths.data)
    plan = seen[0]
    known = plan[plan["patient_id"] < 12]
    assert (known["network"] == known["patient_id"] % 2).all()
    assert (plan[plan["patient_id"] >= 12].groupby("label_id").size() == 2).all()


def test_a_planted_leak_stops_the_gate(project, monkeypatch):
    project.grow(14)
    project.vote(project.train(GOOD))
    project.blend()
    honest = evidence.network_plan

    def leaking(table, folds, n_folds):
        folds = pd.concat([folds, folds.assign(patient_id=folds["patient_id"] + 12)])
        monkeypatch.setattr(evidence.pd, "read_parquet", pd.read_parquet)
        plan = honest(table, folds.drop_duplicates("patient_id"), n_folds)
        return plan.assign(patient_id=0, network=1)  # patient 0 is in fold 0

    monkeypatch.setattr(evidence, "network_plan", leaking)
    with pytest.raises(InputError, match="were trained on patient 0"):
        stage.run(project.paths, project.with_gate())
    assert api.bundle_of(project.paths)[0] == 1


def start(paths: Paths) -> BaseProcess:
    """Register in a process of its own, in which all that it needs is loaded."""
    process = forked().Process(target=register_there, args=(paths,))
    process.start()
    return process


def register_there(paths: Paths) -> None:
    torch.set_num_threads(1)
    stage.run(paths, load_params(paths.params))


def test_two_processes_at_once_give_one_champion(maker):
    maker.ensemble(POOR)
    processes = [start(maker.paths) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(api.list_versions(maker.paths)) == 1
    assert api.model_of(maker.paths)[0] == 1
    assert wrong(maker.paths) == []


def test_kills_at_any_point_leave_a_whole_champion(maker):
    """``HMS_KILLS`` sets how many; the champion verifies after each, the next run completes.

    A kill that comes after its process has ended does not count; the next ones come earlier.
    """
    maker.ensemble(POOR)
    begin = time.monotonic()
    process = start(maker.paths)
    process.join()
    assert process.exitcode == 0
    seconds = time.monotonic() - begin
    rng, hits, tried = random.Random(0), 0, 0
    while hits < int(os.environ.get("HMS_KILLS", "3")):
        tried += 1
        maker.ensemble(OTHER if tried % 2 else GOOD, note=str(tried))
        process = start(maker.paths)
        wait_s = rng.uniform(0.05, 0.95) * seconds
        time.sleep(wait_s)
        process.kill()
        process.join()
        if process.exitcode == 0:
            seconds = wait_s
        else:
            assert process.exitcode == -signal.SIGKILL
            hits += 1
        number, bundle = api.bundle_of(maker.paths)
        assert (bundle / "bundle.json").exists()
        result = stage.run(maker.paths, maker.with_gate())
        assert result["verdict"] in ("promoted", "refused")
        assert api.model_of(maker.paths)[0] >= number
        assert wrong(maker.paths) == []


ALONE = """
import sys
sys.meta_path = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
sys.path = [p for p in sys.path if "__editable__" not in p]
import json, pandas as pd, mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
frame = pd.DataFrame({"eeg": [open(sys.argv[2], "rb").read()],
                      "spectrogram": [open(sys.argv[3], "rb").read()]})
probs = model.predict(frame).iloc[0].tolist()
details = model.predict(frame.drop(columns="spectrogram"), params={"details": True})
bad = frame.assign(eeg=[b"no parquet"])
try:
    model.predict(bad)
except mlflow.exceptions.MlflowException as err:
    code, message = err.error_code, err.message
assert "hms_pipeline" not in sys.modules
print(json.dumps([probs, details.iloc[0].to_dict(), code, message]))
"""


def served(maker: Maker, script: str, folder: Path, *arguments: str):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "MLFLOW_TRACKING_URI": open_store(maker.paths),
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    )


def test_the_model_stands_alone(project, tmp_path):
    window = random_window(5)
    (tmp_path / "eeg").write_bytes(eeg_to_parquet(window.eeg))
    (tmp_path / "spectrogram").write_bytes(spectrogram_to_parquet(window.spectrogram))
    uri = f"models:/{MODEL}@{CHAMPION}"
    done = served(
        project, ALONE, tmp_path, uri, str(tmp_path / "eeg"), str(tmp_path / "spectrogram")
    )
    assert done.returncode == 0, done.stderr
    probs, details, code, message = json.loads(done.stdout.splitlines()[-1])
    _, bundle = api.bundle_of(project.paths)  # it still verifies after being loaded
    from hms_pipeline.inference.predictor import Predictor

    np.testing.assert_allclose(probs, Predictor.open(bundle).predict([window]).probs[0], atol=1e-5)
    assert details["members_used"] == "eegnet"
    assert code == "INVALID_PARAMETER_VALUE"
    assert message.startswith("Row 0, column eeg: ")
    assert not list(bundle.parents[1].rglob("*.pkl"))


def test_another_version_of_the_package_is_refused(project, tmp_path):
    other = tmp_path / "hms_pipeline"
    shutil.copytree(api.bundle_of(project.paths)[1] / "code" / "package", other)
    with (other / "schema.py").open("a") as stream:
        stream.write("\n# a later version\n")
    script = (
        "import sys; sys.path.insert(0, '.'); import hms_pipeline, mlflow.pyfunc;"
        "mlflow.pyfunc.load_model(sys.argv[1])"
    )
    done = served(project, script, tmp_path, f"models:/{MODEL}@{CHAMPION}")
    assert done.returncode != 0
    assert "carries its own version of hms_pipeline" in done.stderr


def test_a_version_names_what_it_came_from(maker):
    result = register(maker, POOR)
    facts = api.describe(maker.paths, result["version"])
    origin = facts | facts["made from"]
    assert set(origin["runs"]) == {f"{member}-{fold}" for member, fold in maker.params.trainings}
    assert {link["how"] for link in origin["runs"].values()} == {"restored"}
    assert set(origin["views"]) == set(maker.params.views)
    client = Registry.open(maker.paths).client
    run = client.get_run(origin["runs"]["eegnet-1"]["run_id"])
    manifest = json.loads((maker.paths.fold("eegnet", 1) / "manifest.json").read_text())
    assert run.data.tags["content_hash"] == manifest["content_hash"]
    assert facts["bring back"] == "no way: code unknown (no git repository)"
    assert client.get_run(origin["retrain_run"]).info.status == "FINISHED"

    reused = register(maker, POOR, note="")
    assert reused["version"] == result["version"]


def test_scoring_uses_the_versions_own_code(project, monkeypatch):
    window = random_window(5)
    number, own = scoring.open_predictor(project.paths, device="cpu")
    monkeypatch.setattr(scoring, "carries_this_code", lambda bundle: False)
    _, carried = scoring.open_predictor(project.paths, number, device="cpu")
    assert isinstance(carried, scoring.CarriedPredictor)
    assert carried.content_hash == own.content_hash
    np.testing.assert_array_equal(carried.predict([window]).probs, own.predict([window]).probs)
    with pytest.raises(InputError, match="Row 0"):
        carried.predict([Window(window.eeg[:, :10], None)])
