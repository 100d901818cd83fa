"""What a retrain's run shows in MLflow, and what becomes of runs whose process was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.system.files import hash_file, write_sealed
from hms_pipeline.tracking import killed
from hms_pipeline.tracking.retrain import describe_retrain
from hms_pipeline.tracking.runs import FoldRun, start_retrain
from hms_pipeline.tracking.store import experiment_id, open_to_write

pytestmark = pytest.mark.filterwarnings("ignore")


def slices(kl: float) -> dict:
    return {name: {"kl": kl, "low": kl - 0.1, "high": kl + 0.1} for name in ("all", ">=10")}


@pytest.fixture
def ensemble(shelf):
    write_sealed(
        shelf.paths.ensemble / "metrics.json",
        {
            "ensemble": slices(0.5),
            "members": {"eegnet": slices(0.7), "v2s-spec": slices(0.6)},
            "baselines": {"prior": slices(1.0)},
            "chosen": "equal",
            "reason": "it is the simplest",
        },
    )
    shelf.paths.windows.parent.mkdir(parents=True)
    pd.DataFrame({"label_id": range(12)}).to_parquet(shelf.paths.windows)
    return shelf


def test_a_retrains_run_has_numbers_choice_changes_and_data(ensemble):
    paths, params = ensemble.paths, load_params(ensemble.paths.params)
    client, run_id = open_to_write(paths), start_retrain(paths, params)
    before = params.model_dump(mode="json")
    before["training"]["seed"] = 17
    describe_retrain(client, paths, run_id, before, params, "simulated")
    run = client.get_run(run_id)
    assert run.data.metrics["kl_ge_10"] == 0.5
    assert run.data.metrics["kl_ge_10_low"] == 0.4
    assert run.data.metrics["members/eegnet/kl_all"] == 0.7
    assert run.data.params["training.seed"] == str(params.training.seed)
    assert run.data.tags["changed"] == f"training.seed: 17 → {params.training.seed}"
    assert run.data.tags["blend"] == "equal"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("data (simulated)", "untracked")
    assert json.loads(data.dataset.profile) == {"num_rows": 12}
    experiment = [experiment_id(client, paths)]
    (member,) = client.search_runs(experiment, "tags.member = 'eegnet'")
    assert member.data.metrics["kl_ge_10"] == 0.7
    (best,) = client.search_runs(experiment, "metrics.kl_ge_10 < 0.55")
    assert best.info.run_id == run_id


def test_one_number_has_one_name_in_a_fold(shelf, tmp_path):
    run = FoldRun(shelf.paths, load_params(shelf.paths.params))
    run.on_start({"member": "eegnet", "fold": 0})
    run.on_epoch(1, {"kl_ge_10": 0.9})
    run.on_epoch(2, {"kl_ge_10": 0.8})
    pd.DataFrame({"epoch": [1, 2]}).to_csv(tmp_path / "history.csv")
    (tmp_path / "manifest.json").write_text("{}")
    files = {"history.csv": hash_file(tmp_path / "history.csv")}
    run.on_end({"content_hash": "c", "metrics": {">=10": 0.75}, "files": files}, tmp_path)
    found = shelf.registry.client.get_run(run.run_id).data.metrics
    assert {key: found[key] for key in found if "kl" in key} == {"kl_ge_10": 0.75}


def test_the_next_run_closes_those_whose_process_was_killed(shelf):
    paths, params = shelf.paths, load_params(shelf.paths.params)
    client, alive = open_to_write(paths), start_retrain(paths, params)
    dead = start_retrain(paths, params)
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        host, _, started = killed.made_here(paths)[killed.PROCESS].rsplit(" ", 2)
        client.set_tag(dead, killed.PROCESS, f"{host} {child.pid} {started}")
    start_retrain(paths, params)
    assert client.get_run(dead).info.status == "KILLED"
    assert client.get_run(alive).info.status == "RUNNING"


def test_a_reused_pid_is_another_process_and_another_host_is_not_judged():
    host = os.uname().nodename
    assert killed.is_gone(f"{host} {os.getpid()} 1.00")
    assert not killed.is_gone("elsewhere 1 1.00")
