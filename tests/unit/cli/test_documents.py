"""What the documents tell people to type exists, and the API's page says what the code says."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import app

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))


def typed(page: Path) -> list[str]:
    """Lines with `hms` in code blocks, and such commands in the text."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?!python|text)\w*\n(.*?)```", text, flags=re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        command.strip()
        for line in (*lines, *re.findall(r"(?<!`)`(hms [^`]+)`(?!`)", text))
        for command in re.split(r"\s#\s|&&|\|", line)
        if command.strip().startswith("hms ")
    ]


COMMANDS = sorted({(page.name, line) for page in PAGES for line in typed(page)})


@pytest.fixture(scope="module")
def group():
    discover(commands.__name__, list(commands.__path__))
    return typer.main.get_command(app)


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_and_its_options_exist(page: str, line: str, group) -> None:
    words = shlex.split(line)[1:]
    names = {option for parameter in group.params for option in parameter.opts}
    while words and words[0].startswith("-"):  # global options, with their values
        assert words[0] in names | {"--help", "--install-completion", "--show-completion"}
        words = words[1:] if words[0] in ("--quiet", "-q", "--verbose", "-v") else words[2:]
    if not words or not words[0].islower():  # a placeholder
        return
    assert words[0] in group.commands
    found = group.commands[words[0]]
    known = {o for p in found.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    used = {
        word.partition("=")[0].strip("[]") for word in words[1:] if word.startswith(("-", "[-"))
    }
    assert used <= known | {"..."}


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 20


def test_the_api_page_is_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    written = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    assert written == make_api.text(), "Run python docs/make_api.py."
