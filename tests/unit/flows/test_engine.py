"""What becomes of a stage that is tried again, and of one that is forced on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import engine as engine_module
from flows import ray_engine
from flows.engine import RAN, UP_TO_DATE, Engine, Job, StageError
from flows.graph import Graph
from flows.ray_engine import RayEngine
from flows.slots import Slots
from hms_pipeline.config import load_params
from hms_pipeline.config.retrain import StageNeeds
from hms_pipeline.schema import InputError

RETRAIN = load_params(Path(__file__).parents[3] / "params.yaml").retrain
LOG = logging.getLogger(__name__)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine whose DVC finds nothing to do."""
    engine = Engine(tmp_path, RETRAIN, Slots(cpu=1, gpu=0, gpus=()))

    def run(*args: object, line: Callable[[str], None], **options: object) -> tuple[int, bool]:
        line("Stage 'a' didn't change, skipping")
        return 0, False

    monkeypatch.setattr(engine.children, "run", run)
    return engine


def job_in(root: Path) -> Job:
    needs = StageNeeds(cpu=1, gpu=0, time_limit_s=9)
    return Job("a", root, "its inputs changed", force=False, needs=needs, env={})


def test_a_stage_with_nothing_to_do_is_up_to_date(engine, tmp_path):
    assert engine.launch(job_in(tmp_path), LOG)[0] == UP_TO_DATE


def test_what_an_attempt_finished_before_it_failed_counts_as_run(engine, tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(engine_module, "keep_lock", full)
        with pytest.raises(OSError, match="no space"):
            engine.launch(job_in(tmp_path), LOG)
    assert engine.launch(job_in(tmp_path), LOG)[0] == RAN


@pytest.mark.parametrize("left", ["", "schema: '2.0'\nstages:\n  split:\n    cm"])
def test_a_lock_that_a_killed_stage_cut_is_whole_for_the_next(engine, tmp_path, monkeypatch, left):
    lock, whole = tmp_path / "dvc.lock", "schema: '2.0'\nstages:\n  split: {cmd: x}\n"
    lock.write_text(whole)
    engine.launch(job_in(tmp_path), LOG)

    def killed(*args: object, **options: object) -> tuple[int, bool]:
        lock.write_text(left)
        return -9, False

    monkeypatch.setattr(engine.children, "run", killed)
    with pytest.raises(StageError, match="exited with -9"):
        engine.launch(job_in(tmp_path), LOG)
    assert lock.read_text() == whole


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:///x.db", "HMS_MLFLOW_URL": "http://a:1"}, "http://a:1"),
        ({"MLFLOW_TRACKING_URI": "http://b:2", "HMS_MLFLOW_URL": "http://a:1"}, "http://b:2"),
        ({"MLFLOW_TRACKING_URI": "postgresql://c/d"}, "postgresql://c/d"),
        ({}, "sqlite:///{root}/mlruns/mlflow.db"),
    ],
)
def test_nodes_report_to_a_server_where_one_is_named(tmp_path, monkeypatch, named, expected):
    for name in ("MLFLOW_TRACKING_URI", "HMS_MLFLOW_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    engine = RayEngine(tmp_path, RETRAIN, Slots(cpu=1, gpu=0, gpus=()))
    engine.graph, engine.source = Graph({"a": []}, {}, {"a": "x"}), (str(tmp_path), None)
    job = job_in(tmp_path)
    assert engine._node_job(job, job.needs).env["MLFLOW_TRACKING_URI"] == expected.format(
        root=tmp_path
    )


def test_a_cluster_refuses_to_force_a_stage_that_it_would_restore(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_engine, "connect", lambda address: pytest.fail("connected"))
    engine = RayEngine(tmp_path, RETRAIN, Slots(cpu=1, gpu=0, gpus=()))
    graph = Graph(parents={"train@a-0": []}, changed={}, commands={"train@a-0": "x"})
    with pytest.raises(InputError, match="cannot force train@a-0"):
        engine.run(graph, ["train@a-0"], ["train@a-0"])
