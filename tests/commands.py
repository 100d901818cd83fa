"""The commands that README, docs and the other pages show, in the order in which they stand."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "hms_pipeline/starter/model_card.md",
]
PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it tells of commands as they were
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
INDENTED = re.compile(r"^    (?=(?:hms|dvc|make|python) )(.*)$", re.M)
INLINE = re.compile(r"`((?:hms|dvc|make|python|prefect|mlflow) [^`\n]*(?:\n[^`\n]+)?)`")
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


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Parameters
    ----------
    kind : str
        The word behind the first fence.
    text : str
    lines : tuple of (str, str)
        Command lines with their remarks, and what the page shows below each; none in a block
        without commands.
    before : str
        The page's text above it.
    """

    kind: str
    text: str
    lines: tuple[tuple[str, str], ...]
    before: str


def split(line: str) -> list[tuple[str, ...]]:
    """The commands of a line, as words, without remarks."""
    parts: list[list[str]] = [[]]
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set(";&|"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [tuple(part) for part in parts if part]


def blocks(page: Path) -> list[Block]:
    """A page's blocks."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(kind, dedent(inner), tuple(_lines(inner)) if kind in ("", "sh", "console") else (),
              text[: match.start()])
        for match in BLOCK.finditer(text)
        for kind, inner in [match.group(2, 3)]
    ]  # fmt: skip
    return [*found, Block("", "", tuple((line, "") for line in INDENTED.findall(text)), "")]


def _lines(block: str) -> Iterator[tuple[str, str]]:
    lines = [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    if any(line.startswith("$ ") for line in lines):
        for one in "\n".join(lines).removeprefix("$ ").split("\n$ "):
            yield one.partition("\n")[::2]
    elif any(line.split()[0] in (*OURS, *OTHERS, *SHELL) for line in lines):
        yield from ((line, "") for line in lines)


def inline(page: Path) -> list[str]:
    """Commands inside a page's sentences and tables, which may leave out what they need."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(line.split()) for line in INLINE.findall(text)]


def shown(*programs: str) -> list[tuple[str, ...]]:
    """Commands of these programs in the blocks of all pages."""
    lines = (line for page in PAGES for block in blocks(page) for line, _ in block.lines)
    return sorted({words for line in lines for words in split(line) if words[0] in programs})


def mentioned(*programs: str) -> list[tuple[str, ...]]:
    """The same, with those inside sentences."""
    lines = (line for page in PAGES for line in inline(page))
    found = {words for line in lines for words in split(line) if words[0] in programs}
    return sorted(found | set(shown(*programs)))


def run_hms(arguments: tuple[str, ...], folder: Path, variables: dict[str, str], log: Path) -> None:
    """The program in a process of its own (``tests.forked``), with what it says in a file."""
    from hms_pipeline.cli.app import main

    os.chdir(folder)
    os.environ.update(variables)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    sys.argv = ["hms", *arguments]
    main()
