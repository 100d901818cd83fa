"""The end of a retrain: when a report is written, and that it fails no run."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import pytest

from flows import artifacts, pipeline
from flows.engine import FAILED, UP_TO_DATE, Outcome
from flows.graph import Graph
from flows.pipeline import ALWAYS, Plan, worth_a_report
from hms_pipeline.config import Paths
from hms_pipeline.report import retrain as report
from hms_pipeline.tracking import store
from tests.recipes import write

STAGES = ["train@a-0", "ensemble", "register"]
GRAPH = Graph(dict.fromkeys(STAGES, ()), {"train@a-0": "deps", "register": ALWAYS}, {})


def outcomes(*states: str) -> list[Outcome]:
    return [Outcome(stage, state) for stage, state in zip(STAGES, states, strict=False)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("Completed", "Completed", "Completed"), True),
        ((UP_TO_DATE, "Restored", "Completed"), True),
        ((UP_TO_DATE, UP_TO_DATE, "Completed"), False),
        (("Completed", FAILED, "NotRun"), False),
    ],
    ids=["trained", "restored", "nothing to do", "failed"],
)
def test_a_report_is_worth_writing_where_the_ensemble_is_new(states, expected):
    assert worth_a_report(Plan(GRAPH, STAGES, []), outcomes(*states)) is expected


def test_a_part_without_the_ensemble_is_worth_none():
    assert not worth_a_report(Plan(GRAPH, STAGES[:1], []), outcomes("Completed"))


def test_what_is_touched_includes_all_that_waits_for_it():
    parents = {"validate": (), "split": ("validate",), "features@a": ("validate",),
               "features@b": ("validate",), "train@a-0": ("split", "features@a"),
               "train@b-0": ("split", "features@b")}  # fmt: skip
    plan = Plan(Graph(parents, {"features@a": "deps"}, {}), list(parents), [])
    assert plan.stale == ["features@a"]
    assert plan.touched == ["features@a", "train@a-0"]


@pytest.mark.parametrize(
    ("stand", "why", "written"),
    [(True, ALWAYS, 0), (False, ALWAYS, 1), (True, f"changed outs: keys.yaml; {ALWAYS}", 1)],
)
def test_keys_are_written_where_they_or_their_record_are_of_other_code(
    monkeypatch, paths, tmp_path, stand, why, written
):
    (tmp_path / "dvc.yaml").write_text("stages:\n  keys:\n    cmd: x\n")
    calls = []
    monkeypatch.setattr(pipeline, "_runs_code_of", lambda root: True)
    monkeypatch.setattr(pipeline, "keys_stand", lambda *args: stand)
    monkeypatch.setattr(pipeline, "write_keys", calls.append)
    monkeypatch.setattr(pipeline, "read_graph", lambda root: Graph({"keys": ()}, {"keys": why}, {}))
    pipeline.read_present_graph(tmp_path)
    assert len(calls) == written


@pytest.mark.parametrize(
    ("changed", "answer", "left_out"),
    [
        ({"register": ALWAYS}, True, True),
        ({"register": ALWAYS}, False, False),
        ({"register": ALWAYS}, OSError("No store."), False),
        ({"register": f"changed params; {ALWAYS}"}, True, False),
        ({"register": ALWAYS, "train@a-0": "deps"}, True, False),
    ],
)
def test_register_is_left_out_where_it_alone_would_run_and_change_nothing(
    monkeypatch, paths, changed, answer, left_out
):
    def is_up_to_date(*args: object) -> bool:
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr("hms_pipeline.registry.stage.is_up_to_date", is_up_to_date)
    monkeypatch.setattr(pipeline, "get_run_logger", lambda: logging.getLogger())
    commands = {stage: f"python -m hms_pipeline {stage}" for stage in STAGES}
    plan = Plan(Graph(GRAPH.parents, changed, commands), STAGES, [])
    found = pipeline.leave_out_register(paths, plan)
    assert ("register" not in found.graph.changed) is left_out
    forced = pipeline.leave_out_register(paths, Plan(plan.graph, STAGES, ["register"]))
    assert forced.graph.changed == changed


@pytest.fixture
def links(monkeypatch) -> dict[str, str]:
    """Link artifacts by their keys."""
    found: dict[str, str] = {}
    monkeypatch.setattr(
        artifacts, "create_link_artifact", lambda link, key, **about: found.update({key: link})
    )
    return found


@pytest.fixture
def paths(tmp_path) -> Paths:
    paths = Paths(tmp_path / "data", tmp_path / "artifacts", tmp_path / "params.yaml")
    write(paths.params)
    (paths.ensemble).mkdir(parents=True)
    (paths.ensemble / "metrics.json").write_text("{}")
    return paths


def test_the_report_lies_beside_the_run_and_the_link_opens_it(monkeypatch, paths, links, tmp_path):
    file, client = tmp_path / "reports" / "retrain.html", Mock()
    monkeypatch.setattr(report, "write_retrain_report", lambda found, params: file)
    monkeypatch.setattr(store, "open_to_write", lambda paths: client)
    page = "http://mlflow/#/experiments/1/runs/ab"
    monkeypatch.setattr(artifacts, "_mlflow_page", lambda _, run, file: f"{page}/{run}/{file}")
    monkeypatch.setenv("HMS_MLFLOW_URL", page)
    artifacts.show_report(paths, "ab")
    client.log_artifact.assert_called_once_with("ab", str(file), "report")
    assert links == {"retrain-report": f"{page}/ab/report/retrain.html"}


def test_no_link_from_a_server_to_a_file(monkeypatch, paths, links, tmp_path):
    notes = {}
    monkeypatch.setattr(
        artifacts, "create_markdown_artifact", lambda markdown, key: notes.update({key: markdown})
    )
    file = tmp_path / "reports" / "retrain.html"
    monkeypatch.setattr(report, "write_retrain_report", lambda found, params: file)
    for name in ("HMS_MLFLOW_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    artifacts.show_report(paths, None)
    assert links == {}
    assert str(file) in notes["retrain-report"]


def test_a_report_that_cannot_be_written_is_a_warning(paths, links, caplog):
    artifacts.show_report(paths, None)  # metrics.json has nothing in it
    assert "No report of the retrain" in caplog.text
    assert links == {}


def test_the_disk_is_asked_for_what_is_stale(monkeypatch, paths):
    asked = []

    def check(found: Paths, params: object, stale: list[str]) -> None:
        asked.append(stale)
        raise ZeroDivisionError

    monkeypatch.setattr("hms_pipeline.registry.disk.check_disk", check)
    graph = Graph(
        GRAPH.parents, GRAPH.changed, dict.fromkeys(STAGES, "python -m hms_pipeline something")
    )
    with pytest.raises(ZeroDivisionError):
        pipeline.start_tracking(paths, Plan(graph, STAGES, []), held=None, log=None)
    assert asked == [["train@a-0"]]
