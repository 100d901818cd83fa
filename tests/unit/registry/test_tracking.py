"""A training's run shows what it took of the machine, and no failure of that stops it."""

from __future__ import annotations

import pandas as pd
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.system.files import hash_file
from hms_pipeline.tracking import runs as tracking
from hms_pipeline.tracking.runs import FoldRun

pytestmark = pytest.mark.filterwarnings("ignore")

INFO = {"member": "eegnet", "fold": 0}


def finish(run: FoldRun, folder) -> None:
    pd.DataFrame({"epoch": [1], "loss": [1.0]}).to_csv(folder / "history.csv")
    (folder / "manifest.json").write_text("{}")
    files = {"history.csv": hash_file(folder / "history.csv")}
    run.on_end({"content_hash": "c", "metrics": {"all": 0.5}, "files": files}, folder)


def test_a_short_training_has_a_sample_of_the_machine(shelf, tmp_path):
    run = FoldRun(shelf.paths, load_params(shelf.paths.params))
    run.on_start(INFO)
    thread = run.monitor._process
    finish(run, tmp_path)
    found = shelf.registry.client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert {"system/cpu_utilization_percentage", "kl_all"} <= set(found.data.metrics)
    assert not thread.is_alive()


def test_a_failed_training_is_no_longer_watched(shelf):
    run = FoldRun(shelf.paths, load_params(shelf.paths.params))
    run.on_start(INFO)
    thread = run.monitor._process
    run.on_error(ValueError("diverged"))
    assert shelf.registry.client.get_run(run.run_id).info.status == "FAILED"
    assert not thread.is_alive()


@pytest.mark.parametrize("name", ["start_monitor", "finish_monitor"])
def test_a_machine_that_cannot_be_watched_stops_nothing(shelf, tmp_path, monkeypatch, name):
    def fail(*args: object) -> None:
        raise RuntimeError("no driver")

    honest = tracking.finish_monitor
    monkeypatch.setattr(tracking, name, fail)
    run = FoldRun(shelf.paths, load_params(shelf.paths.params))
    run.on_start(INFO)
    finish(run, tmp_path)
    found = shelf.registry.client.get_run(run.run_id)
    assert (found.info.status, found.data.tags["content_hash"]) == ("FINISHED", "c")
    if run.monitor is not None:
        honest(run.monitor)
