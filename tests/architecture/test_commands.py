"""Commands that README and docs show exist, with the options that they are shown with."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import app, run

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "hms_pipeline/starter/model_card.md",
]
PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it tells of commands as they were
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
INDENTED = re.compile(r"^    (?=(?:hms|dvc|make|python) )(.*)$", re.M)
INLINE = re.compile(r"`((?:hms|dvc|make|python|prefect) [^`\n]*)`")
OURS = ("hms", "make", "python", "dvc")
OTHERS = ("mlflow", "prefect", "ray")
SHELL = (
    "cd",
    "source",
    "export",
    "git",
    "tar",
    "cp",
    "mkdir",
    "pip",
    "pre-commit",
    "docs/champion.sh",
)
NUMBERS = {"N": "1", "VERSION": "1", "ID": "1", "[FOLD...]": "0", "FOLD...": "0"}
CHEAP = ("--version", "views", "members", "models", "recipe")  # run, not only parsed


def split(line: str) -> list[list[str]]:
    """The commands of a line, as words, without remarks."""
    parts: list[list[str]] = [[]]
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set(";&|"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def blocks(text: str) -> list[list[list[str]]]:
    """The commands of each block that shows any."""
    found = []
    for block in [block for _, kind, block in BLOCK.findall(text) if kind in ("", "sh", "console")]:
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        if any(line.split()[0] in (*OURS, *OTHERS, *SHELL) for line in lines):
            found.append([words for line in lines for words in split(line)])
    return [*found, [words for line in INDENTED.findall(text) for words in split(line)]]


def shown(*programs: str) -> list[tuple[str, ...]]:
    """Commands of these programs in the blocks of all pages."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    words = (words for text in texts for block in blocks(text) for words in block)
    return sorted({tuple(one) for one in words if one[0] in programs})


def mentioned(*programs: str) -> list[tuple[str, ...]]:
    """The same, with those inside sentences, which may leave out what they need."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    inline = (words for text in texts for line in INLINE.findall(text) for words in split(line))
    found = {tuple(words) for words in inline if words[0] in programs}
    return sorted(found | set(shown(*programs)))


@pytest.fixture(scope="module")
def hms() -> Any:
    """The command line as typer builds it."""
    discover(commands.__name__, list(commands.__path__))
    return typer.main.get_command(app)


def test_blocks_of_commands_hold_nothing_else() -> None:
    known = {*OURS, *OTHERS, *SHELL}
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            wrong = [words for words in block if words[0] not in known]
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


@pytest.mark.parametrize("words", mentioned("python"), ids=" ".join)
def test_python_runs_what_is_there(words: tuple[str, ...]) -> None:
    if words[1] == "-m":
        spec = find_spec(words[2])
        assert spec is not None
        source = Path(spec.origin or "")
        if source.name == "__init__.py":
            source = source.with_name("__main__.py")
        rest = words[3:]
    else:
        source, rest = ROOT / words[1], words[2:]
    if not source.is_relative_to(ROOT) or ".venv" in source.parts:
        return
    text = source.read_text(encoding="utf-8")
    for option in re.findall(r"--[\w-]+", " ".join(rest)):
        assert f'"{option}"' in text, f"{source.relative_to(ROOT)} has no option {option}."


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
    pytest.param(dedent(block), id=f"{page.stem}-{k}")
    for page in PAGES
    for k, (_, kind, block) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
    if kind == "python"
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
@pytest.mark.parametrize("words", shown("mlflow", "prefect"), ids=" ".join)
def test_the_stacks_commands_have_the_options(words: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name(words[0])
    found = subprocess.run(
        [str(program), *words[1:], "--help"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0
    for option in (word for word in words if word.startswith("-")):
        assert option in found.stdout
