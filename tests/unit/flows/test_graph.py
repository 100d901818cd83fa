"""Choosing a part of the graph, and DVC's reasons in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flows.graph import Graph, describe, match, read_graph, select
from hms_pipeline.system.errors import InputError

PARENTS = {
    "data.dvc": (),
    "validate": ("data.dvc",),
    "features@mel": ("data.dvc", "validate"),
    "split": ("validate",),
    "train@a-0": ("features@mel", "split"),
    "train@a-1": ("features@mel", "split"),
    "ensemble": ("train@a-0", "train@a-1"),
}
GRAPH = Graph(PARENTS, {}, dict.fromkeys(PARENTS, "run"))


def test_everything_without_a_choice():
    assert select(GRAPH) == list(PARENTS)


def test_until_brings_all_ancestors_and_nothing_else():
    assert select(GRAPH, until=["train@a-1"]) == [
        *("data.dvc", "validate", "features@mel", "split", "train@a-1")
    ]


def test_only_brings_no_ancestors():
    assert select(GRAPH, only=["train"]) == ["train@a-0", "train@a-1"]


@pytest.mark.parametrize("wanted", ["train", "train@*", "train@a-?"])
def test_groups_and_patterns(wanted):
    assert match(GRAPH.stages, [wanted]) == ["train@a-0", "train@a-1"]


def test_order_is_the_graphs_not_the_callers():
    assert match(GRAPH.stages, ["ensemble", "split"]) == ["split", "ensemble"]


def test_unknown_stage_is_refused_with_the_choice():
    with pytest.raises(InputError, match="Unknown stage 'banana'.*train@a-0"):
        select(GRAPH, until=["banana"])


def test_only_and_until_exclude_each_other():
    with pytest.raises(InputError, match="both came"):
        select(GRAPH, only=["split"], until=["train"])


def test_stages_that_more_wait_for_lie_deeper():
    depths = GRAPH.depths()
    for stage, parents in PARENTS.items():
        assert all(depths[parent] > depths[stage] for parent in parents)
    assert depths["ensemble"] == 0


def test_reasons_on_one_line():
    reasons = [{"changed deps": {"data": "modified", "x.py": "new"}}, "changed command"]
    assert describe(reasons) == "changed deps: data, x.py; changed command"


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's own
@pytest.mark.parametrize(
    "left", ["", "schema: '2.0'\nstages:\n  a:\n    cm", "<<<<<<< ours\nschema: '2.0'\n"]
)
def test_a_lock_that_dvc_cannot_read_is_one_sentence_and_stays(tmp_path, left):
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages:\n  a:\n    cmd: echo 1 > o\n    outs: [o]\n")
    assert read_graph(tmp_path).stages == ("a",)
    (tmp_path / "dvc.lock").write_text(left)
    with pytest.raises(InputError, match="git checkout dvc.lock"):
        read_graph(tmp_path)
    assert (tmp_path / "dvc.lock").read_text() == left
