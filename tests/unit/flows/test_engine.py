"""What becomes of a stage that is tried again, and of folds handed out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from flows import exchange
from flows.engine import RAN, UP_TO_DATE, Engine, Job, StageError, _Schedule, children_of, run_stage
from flows.graph import Graph
from flows.handout import Batch, Handout
from flows.ray_engine import RayEngine
from flows.slots import Slots
from hms_pipeline.config import load_params
from hms_pipeline.config.retrain import StageNeeds
from hms_pipeline.system.errors import InputError

RETRAIN = load_params(Path(__file__).parents[3] / "params.yaml").retrain
SLOTS = Slots(cpu=1, gpu=0, gpus=())
LOG = logging.getLogger(__name__)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine whose DVC finds nothing to do."""
    engine = Engine(tmp_path, RETRAIN, SLOTS, children_of(tmp_path))

    def run(*args: object, line: Callable[[str], None], **options: object) -> tuple[int, bool]:
        line("Stage 'a' didn't change, skipping")
        return 0, False

    monkeypatch.setattr(engine.children, "run", run)
    return engine


def a_job() -> Job:
    needs = StageNeeds(cpu=1, gpu=0, time_limit_s=9)
    return Job("a", "its inputs changed", force=False, needs=needs, env={})


def test_a_stage_with_nothing_to_do_is_up_to_date(engine, tmp_path):
    assert engine.launch(a_job(), LOG)[0] == UP_TO_DATE


def test_words_that_dvc_never_said_are_an_error(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(engine.children, "run", lambda *args, **options: (0, False))
    with pytest.raises(StageError, match="requirements.lock") as caught:
        engine.launch(a_job(), LOG)
    assert caught.value.permanent


def test_what_an_attempt_finished_before_it_was_killed_counts_as_run(engine, tmp_path, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(engine.children, "run", lambda *args, **options: (-9, False))
        with pytest.raises(StageError, match="exited with -9"):
            engine.launch(a_job(), LOG)
    assert engine.launch(a_job(), LOG)[0] == RAN


@pytest.mark.parametrize(
    ("changed", "forced", "expected"),
    [({}, [], 0), ({"keys": "always"}, [], 0), ({"a": "deps: data"}, [], 1), ({}, ["a"], 1)],
)
def test_libraries_of_stages_are_loaded_only_where_one_may_run(
    engine, monkeypatch, changed, forced, expected
):
    """DVC says of the stage `keys` that it changed in every run, but a flow runs it before."""
    serve = Mock()
    monkeypatch.setattr(engine.children, "serve", serve)
    monkeypatch.setattr(_Schedule, "run", lambda self: [])
    graph = Graph({"keys": (), "a": ("keys",)}, changed, {"keys": "x", "a": "x"})
    engine.run(graph, ["a"], forced)
    assert serve.call_count == expected


@pytest.mark.parametrize("stopping", [True, False])
def test_a_stage_that_was_stopped_with_the_run_is_cancelled_not_failed(
    engine, tmp_path, monkeypatch, stopping
):
    monkeypatch.setattr(engine.children, "run", lambda *args, **options: (-15, False))
    monkeypatch.setattr(engine, "execute", engine.launch)  # without slots of a server
    monkeypatch.setattr("flows.engine.get_run_logger", lambda: LOG)
    engine.children.stopping = stopping
    if stopping:
        state = run_stage.fn(a_job(), engine)
        assert (state.name, state.message) == ("Cancelled", "a was stopped with the run.")
    else:
        with pytest.raises(StageError, match="exited with -15"):
            run_stage.fn(a_job(), engine)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:///x.db", "HMS_MLFLOW_URL": "http://a:1"}, "http://a:1"),
        ({"MLFLOW_TRACKING_URI": "http://b:2", "HMS_MLFLOW_URL": "http://a:1"}, "http://b:2"),
        (
            {"MLFLOW_TRACKING_URI": "postgresql://c/d", "HMS_MLFLOW_URL": "http://a:1"},
            "postgresql://c/d",
        ),
        ({"MLFLOW_TRACKING_URI": "sqlite:///x.db"}, "sqlite:///x.db"),
        ({}, "sqlite:///{root}/mlruns/mlflow.db"),
    ],
)
def test_nodes_report_to_a_server_where_one_is_named(tmp_path, monkeypatch, named, expected):
    for name in ("MLFLOW_TRACKING_URI", "HMS_MLFLOW_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    engine = RayEngine(tmp_path, RETRAIN, SLOTS, children_of(tmp_path))
    engine.graph, engine.source = Graph({"a": []}, {}, {"a": "x"}), (str(tmp_path), None)
    job = a_job()
    assert engine._node_job(job).env["MLFLOW_TRACKING_URI"] == expected.format(root=tmp_path)


def test_nodes_without_a_shared_folder_find_their_inputs_in_dvcs_remote(tmp_path, monkeypatch):
    pushed = []
    monkeypatch.setattr(exchange, "push", lambda root, stages, log: pushed.append(list(stages)))
    engine = RayEngine(tmp_path, RETRAIN, SLOTS, children_of(tmp_path))
    engine._sharing, engine._shared = threading.Lock(), set()
    engine._share(["split", "features@a"], LOG)
    engine._share(["split", "features@b"], LOG)
    engine._share(["split", "features@a"], LOG)
    assert pushed == [["split", "features@a"], ["features@b"]]

    def away(root, stages, log):
        raise InputError("It does not answer.")

    monkeypatch.setattr(exchange, "push", away)
    for _ in range(2):  # what was not handed over is tried again
        with pytest.raises(StageError, match="It does not answer"):
            engine._share(["features@c"], LOG)


def test_no_slot_stands_idle_while_another_has_a_whole_member_to_go():
    """Simulated: every batch runs for as long as its folds, whoever is free takes the next."""
    seconds = {"train@a": 60.0, "train@b": 45.0, "train@c": 30.0, "train@d": 12.0}
    for slots in (1, 2, 3, 4):
        handout = Handout(slots, seconds)
        for stage in seconds:
            handout.add(stage, range(10))
        free, trained = [0.0] * slots, []
        while batch := handout.take():
            begin = min(free)
            free[free.index(begin)] = begin + len(batch.folds) * seconds[batch.stage]
            trained += [(batch.stage, fold) for fold in batch.folds]
        assert sorted(trained) == sorted((stage, fold) for stage in seconds for fold in range(10))
        assert max(free) - min(free) <= 2 * max(seconds.values())


def test_a_batch_is_of_one_member_the_longest_first():
    handout = Handout(2, {"train@a": 10.0, "train@b": 20.0})
    handout.add("train@a", [0, 1, 2])
    handout.add("train@b", [0, 1, 2])
    assert handout.take() == Batch("train@b", (0, 1, 2))
    assert handout.take({"train@c"}) is None
    handout.drop("train@a")
    assert handout.take() is None


@pytest.mark.parametrize(
    ("assumed_s", "slots", "forced", "stages_train", "whole"),
    [
        (1.0, 2, False, True, True),
        (60.0, 1, False, True, True),
        (60.0, 2, False, True, False),  # two slots share the folds of the only member
        (1.0, 2, True, True, False),  # DVC's command would keep what is finished
        (1.0, 2, False, False, False),  # Ray: the stage runs here, its folds elsewhere
    ],
)
def test_a_stage_trains_its_folds_where_one_process_would_have_all(
    engine, monkeypatch, assumed_s, slots, forced, stages_train, whole
):
    started = []
    monkeypatch.setattr(_Schedule, "_start", lambda self, job, after: started.append(job))
    monkeypatch.setattr(engine, "stages_train", stages_train)
    engine.slots = Slots(cpu=slots, gpu=0, gpus=())
    stage = "train@a"
    trainings = Mock(missing=lambda stage: [0, 1, 2], assumed_s=lambda: assumed_s)
    trainings.command = lambda stage, folds: ["train", *map(str, folds)]
    graph = Graph({stage: ()}, {stage: "deps"}, {stage: "x"})
    schedule = _Schedule(engine, graph, [stage], frozenset([stage] * forced), trainings)
    schedule._hand_out_folds()
    assert schedule._start_batch()
    (job,) = started
    assert (job.batch is None) == whole
    assert (stage in schedule.waiting) != whole
    assert job.folds == (3 if whole or assumed_s < 60 else 2)
    assert job.needs.time_limit_s == job.folds * RETRAIN.needs(stage).time_limit_s
    assert job.name == (stage if whole else Batch(stage, tuple(range(job.folds))).name)


def test_what_a_node_hands_back_lies_where_the_stage_looks(tmp_path):
    engine = RayEngine(tmp_path, RETRAIN, SLOTS, children_of(tmp_path))
    engine._keep("key", {"manifest.json": b"{}", "oof.parquet": b"x"})
    folder = tmp_path / "artifacts" / ".folds" / "key"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "manifest.json": b"{}",
        "oof.parquet": b"x",
    }


def test_only_early_stages_start_before_what_comes_later_is_there(engine, monkeypatch):
    """The others get its variables, or its error before anything of them runs."""
    started = []

    class Task:
        def with_options(self, **options: object) -> Task:
            return self

        def submit(self, job: Job, *args: object, **options: object) -> Mock:
            started.append((job.stage, job.env.get("RUN")))
            return Mock()

    monkeypatch.setattr("flows.engine.run_stage", Task())
    engine.slots, engine.early = Slots(cpu=2, gpu=0, gpus=()), ["validate"]
    stages = ["validate", "train"]
    graph = Graph(
        dict.fromkeys(stages, ()), dict.fromkeys(stages, "deps"), dict.fromkeys(stages, "x")
    )
    schedule = _Schedule(engine, graph, stages, frozenset(), Mock(missing=lambda stage: []))

    def refuse() -> dict[str, str]:
        raise InputError("The disk is too small.")

    engine.later = refuse
    schedule._start_if_possible("validate")
    with pytest.raises(InputError, match="too small"):
        schedule._start_if_possible("train")
    assert started == [("validate", None)]
    schedule.waiting.append("train")
    engine.later = lambda: {"RUN": "1"}
    schedule._start_if_possible("train")
    assert started[1] == ("train", "1")
