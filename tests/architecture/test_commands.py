"""Commands that README and docs show exist, with the options that they are shown with."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import CliRunner

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import app, run
from tests.commands import OTHERS, OURS, PAGES, ROOT, SHELL, blocks, mentioned, shown, split

NUMBERS = {"N": "1", "VERSION": "1", "ID": "1", "PID": "1", "[FOLD...]": "0", "FOLD...": "0"}
NO_PARSER = ("benchmarks.__main__", "docs.make_api", "flows.demo", "hms_pipeline")
SHOWN = set(shown("python"))
CHEAP = ("--version", "views", "members", "models", "recipe")  # run, not only parsed


@pytest.fixture(scope="module")
def hms() -> Any:
    """The command line as typer builds it."""
    discover(commands.__name__, list(commands.__path__))
    return typer.main.get_command(app)


def test_blocks_of_commands_hold_nothing_else() -> None:
    known = {*OURS, *OTHERS, *SHELL}
    for page in PAGES:
        for block in blocks(page):
            words = (words for line, _ in block.lines for words in split(line))
            wrong = [words for words in words if words[0] not in known]
            assert not wrong, f"{page.name} shows {wrong}: misspelt, or a program to add here."


def test_commands_are_found() -> None:
    assert len(shown("hms")) >= 10
    assert len(mentioned("hms")) >= 50


@pytest.mark.parametrize("words", shown("hms"), ids=" ".join)
def test_hms_takes_what_is_shown(
    words: tuple[str, ...], hms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    for name, command in hms.commands.items():
        monkeypatch.setattr(command, "callback", lambda name=name, **_: called.append(name))
    hms.main([NUMBERS.get(word, word) for word in words[1:]], "hms", standalone_mode=False)
    assert called[0] in words


@pytest.mark.parametrize("words", mentioned("hms"), ids=" ".join)
def test_hms_has_the_command_and_the_options(words: tuple[str, ...], hms: Any) -> None:
    globals_ = {option for param in hms.params for option in param.opts}
    command = next((word for word in words[1:] if word in hms.commands), None)
    own = hms.commands[command].params if command else []
    options = globals_ | {
        option for param in own for option in (*param.opts, *param.secondary_opts)
    }
    assert command or {"COMMAND", *globals_} & set(words)
    assert {word for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize(
    "words", [w for w in mentioned("hms") if w[1] in CHEAP and not NUMBERS.keys() & set(w)
              and w[-1] not in ("NAME", "--patient")],
    ids=" ".join,
)  # fmt: skip
def test_cheap_ones_run(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(commands.__name__, list(commands.__path__))
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    if words == ("hms", "recipe"):
        return  # needs a name
    assert run(words[1:]) == 0


class Parsed(Exception):
    """The arguments of a script are what it takes."""


@pytest.mark.parametrize("words", mentioned("python"), ids=" ".join)
def test_python_runs_what_is_there_with_what_it_takes(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script's own parser reads the line; a sentence may leave out what is required."""
    module = words[2] if words[1] == "-m" else words[1].removesuffix(".py").replace("/", ".")
    arguments = words[3 if words[1] == "-m" else 2 :]
    assert find_spec(module) is not None, f"There is no module {module}."
    if not (ROOT / module.partition(".")[0]).is_dir() or module in NO_PARSER:
        assert not arguments or module == "pytest"
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *given: Any) -> None:
        parse(self, *given)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(sys, "argv", [module, *(plain(word) for word in arguments)])
    monkeypatch.syspath_prepend(str(ROOT))
    for name in (module, f"{module}.__main__"):  # a package's
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises((Parsed, SystemExit)) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    said = capsys.readouterr().err
    assert ended.type is Parsed or (words not in SHOWN and "are required" in said), said


def plain(word: str) -> str:
    """A word without the brackets of what may be left out, a number in a placeholder's place."""
    return NUMBERS.get(word, word).strip("[]")


@pytest.mark.parametrize("words", mentioned("make"), ids=" ".join)
def test_make_has_the_target(words: tuple[str, ...]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", makefile, re.M)
    assert set(words[1:]) <= set(targets)


@pytest.mark.parametrize("words", shown("dvc"), ids=" ".join)
def test_dvc_takes_what_is_shown(words: tuple[str, ...]) -> None:
    from dvc.cli.parser import get_main_parser

    get_main_parser().parse_args(words[1:])


def test_extras_that_pip_installs_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = re.findall(r"hms-pipeline\[(\w+)\]", str(mentioned("pip")))
    assert wanted
    assert set(wanted) <= project["optional-dependencies"].keys()


def test_variables_that_pages_name_are_read() -> None:
    read = [ROOT / "Makefile", ROOT / "tests/team/conftest.py"]
    for room in ("hms_pipeline", "flows", "benchmarks", "tests/pipeline", "tests/unit/registry"):
        read += (ROOT / room).rglob("*.py")
    code = " ".join(path.read_text(encoding="utf-8") for path in read)
    named = {n for p in PAGES for n in re.findall(r"\bHMS_[A-Z_]+\b", p.read_text("utf-8"))}
    assert len(named) > 5
    assert not {name for name in named if not re.search(rf"\b{name}\b", code)}


PYTHON = [
    pytest.param(block.text, id=f"{page.stem}-{k}")
    for page in PAGES
    for k, block in enumerate(blocks(page))
    if block.kind == "python"
]


@pytest.mark.parametrize("block", PYTHON)
def test_python_blocks_use_what_is_there(block: str) -> None:
    """Names of ours that a block imports exist, and take the arguments that it gives them."""
    ours: dict[str, Any] = {}
    tree = ast.parse(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            room, _, rest = node.module.partition(".")
            if room in ("hms_pipeline", "package"):  # a bundle's code has the second name
                module = import_module(f"hms_pipeline.{rest}".rstrip("."))
                ours |= {name.name: getattr(module, name.name) for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ours:
            given = {keyword.arg: None for keyword in node.keywords if keyword.arg}
            inspect.signature(ours[node.func.id]).bind(*node.args, **given)


def test_blocks_with_our_names_are_found() -> None:
    assert sum("hms_pipeline" in str(block.values) for block in PYTHON) >= 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of MLflow's own modules
@pytest.mark.parametrize("words", shown("mlflow"), ids=" ".join)
def test_mlflows_commands_have_the_options(words: tuple[str, ...]) -> None:
    from mlflow.cli import cli

    found = CliRunner().invoke(cli, [*words[1:], "--help"])
    assert found.exit_code == 0
    assert options_of(words) <= set(found.output.replace(",", " ").split())


@pytest.mark.slow
@pytest.mark.parametrize("words", shown("prefect"), ids=" ".join)
def test_prefects_commands_have_the_options(words: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name(words[0])
    found = subprocess.run(
        [str(program), *words[1:], "--help"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0
    for option in options_of(words):
        assert option in found.stdout


def options_of(words: tuple[str, ...]) -> set[str]:
    return {word for word in words if word.startswith("-")}
