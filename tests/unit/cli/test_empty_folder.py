"""Where there is nothing yet, every command says one line, and writes nothing."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import app, out, run

discover(commands.__name__, list(commands.__path__))
FUNCTIONS = {(c.name or c.callback.__name__): c.callback for c in app.registered_commands}
NEEDED = {
    "features": "mel", "train": "eegnet", "score": "rec.edf", "submission": "data",
    "recipe": "tiny", "import": "recordings labels.csv", "promote": "1 --reason why",
    "rollback": "--reason why", "serve": "--model champion", "export": "--model champion out.zip",
}  # fmt: skip
LINES = [f"{name} {NEEDED.get(name, '')}".strip() for name in FUNCTIONS] + [
    "models 1", "models --patient 3", "models --model student", "promote 1", "rollback",
    "validate --report", "keys --why train.eegnet", "views mel", "score .", "score --report a .",
    "export --model 1 out.zip", "submission . --model student", "gc --model student",
]  # fmt: skip
AS_JSON = [
    line for line in LINES if "as_json" in inspect.signature(FUNCTIONS[line.split()[0]]).parameters
]
DONE = {"models", "models --model student", "gc", "gc --model student"}  # there is nothing to show


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(out, "quiet", False)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_it_is_one_line(line: str, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == (0 if line in DONE else 2)
    shown = capsys.readouterr()
    said, other = (shown.out, shown.err) if line in DONE else (shown.err, shown.out)
    assert len(said.splitlines()) == 1
    assert other == ""
    assert "[]" not in said
    assert not list(empty.iterdir())


@pytest.mark.parametrize("line", AS_JSON)
def test_json_is_a_document_or_nothing(
    line: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*line.split(), "--json"]) == (0 if line in DONE else 2)
    shown = capsys.readouterr()
    assert (json.loads(shown.out) == []) if line in DONE else (shown.out == "")
    assert len(shown.err.splitlines()) == (line not in DONE)
    assert not list(empty.iterdir())


def test_results_before_a_training_say_how_to_train(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["results"]) == 2
    said = capsys.readouterr().err
    assert "dvc repro" in said
    assert "make demo" in said
