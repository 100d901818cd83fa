"""The end of a retrain: when a report is written, and that it fails no run."""

from __future__ import annotations

import pytest

from flows import artifacts, pipeline
from flows.engine import FAILED, UP_TO_DATE, Outcome
from flows.graph import Graph
from flows.pipeline import ALWAYS, Plan, worth_a_report
from hms_pipeline.config import Paths
from hms_pipeline.report import retrain as report
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


def test_the_report_is_linked(monkeypatch, paths, links, tmp_path):
    file = tmp_path / "reports" / "retrain.html"
    monkeypatch.setattr(report, "write_retrain_report", lambda found, params: file)
    artifacts.show_report(paths)
    assert links == {"retrain-report": file.as_uri()}


def test_a_report_that_cannot_be_written_is_a_warning(paths, links, caplog):
    artifacts.show_report(paths)  # metrics.json has nothing in it
    assert "No report of the retrain" in caplog.text
    assert links == {}


def test_the_disk_is_asked_for_what_is_stale(monkeypatch, paths):
    asked = []

    def check(found: Paths, params: object, stale: list[str]) -> None:
        asked.append(stale)
        raise ZeroDivisionError

    monkeypatch.setattr("hms_pipeline.registry.disk.check_disk", check)
    graph = Graph(GRAPH.parents, GRAPH.changed, dict.fromkeys(STAGES, "hms something"))
    with pytest.raises(ZeroDivisionError):
        pipeline.Tracking.start(paths, Plan(graph, STAGES, []), held=None)
    assert asked == [["train@a-0"]]
