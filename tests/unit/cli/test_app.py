"""Whatever a user gets wrong is one line and exit code 2."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
import yaml

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import app, run
from hms_pipeline.system.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    discover(commands.__name__, list(commands.__path__))
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("banana", "No such command 'banana'"),
        ("train", "Missing argument 'member'"),
        ("train eegnet one", "Invalid value for '[FOLD]...'"),
        ("train eegnet 99", "fold must be 0..2, got 99"),
        ("views --banana", "No such option: --banana"),
        ("views banana", "Unknown view 'banana'"),
        ("--params tests split", "Recipe file tests is missing, or is no file"),
        ("--params nowhere.yaml split", "nowhere.yaml"),
        ("--data nowhere validate", "nowhere"),
        ("sample --out README.md", "README.md must be a new or empty folder"),
        ("sample --out new --patients 1000000000", "sample.patients: Input should be less than"),
        ("sample --out new --proportions odd", "sample.proportions: Input should be 'even' or"),
        ("recipe banana", "Unknown recipe 'banana'"),
    ],
)
def test_bad_input_is_one_line(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--artifacts", str(tmp_path), *line.split()]) == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_is_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert "Retrain, register and serve" in capsys.readouterr().out


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = [c.name or c.callback.__name__ for c in app.registered_commands]
    assert {"sample", "train", "score", "submission", "models", "doctor"} <= set(names)
    for name in names:
        assert run([name, "--help"]) == 0
        assert "--help" in capsys.readouterr().out


def failing(error: BaseException):
    def command() -> None:
        raise error

    return command


class StoreError(Exception):
    """As mlflow's own."""


StoreError.__module__ = "mlflow.exceptions"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("a sentence\non two lines"), 2, "hms: a sentence on two lines"),
        (PermissionError(13, "Permission denied", "x.csv"), 2, "x.csv cannot be used: Permission"),
        (OSError(28, "No space left on device", "w.npy"), 1, "w.npy cannot be used: No space left"),
        (StoreError("no answer"), 1, "MLflow's store cannot be used: no answer"),
        (sqlite3.OperationalError("disk is full"), 1, "MLflow's store cannot be used: disk is"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_expected_errors_have_their_exit_codes(error, code, said, monkeypatch, capsys) -> None:
    monkeypatch.setattr(app.registered_commands[0], "callback", failing(error))
    monkeypatch.setattr(app.registered_commands[0], "name", "fails")
    assert run(["fails"]) == code
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) <= 1


def test_a_bug_is_a_traceback(monkeypatch) -> None:
    monkeypatch.setattr(app.registered_commands[0], "callback", failing(ZeroDivisionError()))
    monkeypatch.setattr(app.registered_commands[0], "name", "fails")
    with pytest.raises(ZeroDivisionError):
        run(["fails"])


def test_a_refusals_place_is_logged_and_those_that_it_was_made_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = yaml.safe_load((ROOT / "params.yaml").read_text())
    recipe["members"]["eegnet"]["views"] = ["mel"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe))
    with caplog.at_level(logging.INFO, logger="hms_pipeline.cli.app"):
        assert run(["--params", str(tmp_path / "params.yaml"), "members"]) == 2
    (said,) = [r.getMessage() for r in caplog.records if r.name == "hms_pipeline.cli.app"]
    raised, reason = said.removeprefix("refused at ").split(", made from ")
    for place, words in ((raised, "members.{name}: {err}"), (reason, "raise InputError(")):
        file, _, line = place.rpartition(":")
        assert file.endswith("models/build.py")
        assert words in Path(file).read_text().splitlines()[int(line) - 1]
