"""The registry's commands: reasons are needed, and what was verified is what is served."""

from __future__ import annotations

import pytest

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import run
from hms_pipeline.registry import api

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def hms(shelf):
    """Runs a command on the shelf's project."""
    discover(commands.__name__, list(commands.__path__))

    def call(*arguments: str) -> int:
        folders = ("--artifacts", str(shelf.paths.artifacts), "--params", str(shelf.paths.params))
        return run([*folders, *arguments])

    return call


@pytest.mark.parametrize("command", [["promote", "1"], ["rollback"], ["promote", "1", "--reason="]])
def test_a_missing_reason_is_one_line(hms, shelf, capsys, command):
    shelf.add("one")
    assert hms(*command) == 2
    assert capsys.readouterr().err == (
        f"hms: hms {command[0]} needs --reason: why; it goes into the ledger.\n"
    )
    assert shelf.actions() == ["register"]


@pytest.fixture
def served(monkeypatch) -> list[tuple[str, int]]:
    """Contents and numbers of the versions that a server was started with."""
    from hms_pipeline.registry.serving import server

    found = []
    monkeypatch.setattr(
        server, "serve", lambda model, n, **_: found.append(((model / "MLmodel").read_text(), n))
    )
    return found


@pytest.mark.parametrize(
    "arguments", [[], ["--model", "1"], ["--model", "models:/hms-ensemble/1"]], ids=str
)
def test_serve_starts_with_the_version_that_was_verified(hms, shelf, served, arguments):
    shelf.add("one")
    shelf.promote(1)
    shelf.add("two")
    assert hms("serve", *arguments) == 0
    assert served == [("one", 1)]


def test_serve_refuses_another_model(hms, shelf, served, capsys):
    shelf.add("one")
    assert hms("serve", "--model", "models:/other-model/1") == 2
    assert "A version of hms-ensemble is needed" in capsys.readouterr().err
    assert served == []


def test_a_shell_completes_versions(hms, shelf, monkeypatch, capsys):
    shelf.add("one")
    shelf.add("two")
    monkeypatch.chdir(shelf.paths.params.parent)
    monkeypatch.setenv("_HMS_COMPLETE", "complete_bash")
    for line, wanted in (("hms models ", ["2", "1"]), ("hms promote --model student ", [])):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        with pytest.raises(SystemExit):
            run([])
        assert capsys.readouterr().out.split() == wanted


def byte_code(folder):
    cache = folder / "bundle" / "__pycache__" / "schema.cpython-311.pyc"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"planted")


def shadowing_package(folder):
    (folder / "numpy").mkdir()
    (folder / "numpy" / "__init__.py").write_text("raise SystemExit")


def link(folder):
    (folder / "MLmodel").rename(folder.parent / "elsewhere")
    (folder / "MLmodel").symlink_to(folder.parent / "elsewhere")


def extra_module(folder):
    (folder / "extra.py").touch()


PLANTS = [byte_code, shadowing_package, link, extra_module]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_serve_refuses_what_was_planted_before_mlflow_loads(
    hms, shelf, served, capsys, monkeypatch, plant
):
    shelf.add("one")
    plant(api.model_of(shelf.paths, 1)[1])
    monkeypatch.setattr("mlflow.pyfunc.load_model", None)
    assert hms("serve", "--model", "1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not verify" in line
    assert served == []
