"""What commands print: tables for people, lines for pipes, JSON for programs, Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from ..system.errors import InputError
from ..system.files import write_text
from .app import out

START, END = "<!-- results:start -->", "<!-- results:end -->"
DASH = "–"
HASH = re.compile(r"[0-9a-f]{32,64}")


def _silence(wanted: bool) -> bool:
    out.quiet = wanted  # anything else that a command prints would spoil the document
    return wanted


Json = Annotated[
    bool, typer.Option("--json", callback=_silence, help="Print one JSON document, nothing else.")
]


def print_json(document: Any) -> None:
    """Print a document of JSON types (and paths) on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_table(title: str, rows: Sequence[Mapping[str, Any]], empty: str = "none") -> None:
    """Print rows with the same keys: a table on a terminal, one line a row elsewhere.

    Parameters
    ----------
    title : str
        Shown on a terminal.
    rows : sequence of mapping
        See ``cell`` for how values are written.
    empty : str
        Printed instead of a table without rows.
    """
    if not rows:
        out.print(empty)
        return
    lines = [list(map(str, rows[0])), *([cell(v) for v in row.values()] for row in rows)]
    if not out.is_terminal:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = (f"{text:{width}}" for text, width in zip(line, widths, strict=True))
            out.print(" ".join("  ".join(padded).rstrip().splitlines()))
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in lines[0]:
        table.add_column(name, overflow="fold")
    for line in lines[1:]:
        table.add_row(*line)
    out.print(table, soft_wrap=False)


def print_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """Print ``name: value``, one line each; what a name holds stands below it, indented.

    Of a hash the first twelve digits are printed, of a number five; JSON has them all.
    """
    for name, value in _shortened(facts).items():
        inner: Any = dict(enumerate(value, 1)) if _is_long(value) else value
        nested = isinstance(inner, Mapping) and (not indent or any(map(_is_nested, inner.values())))
        text = "" if nested else f" {cell(inner)}"
        out.print(f"{indent}{name}:{text}")
        if nested:
            print_facts(inner, indent + "  ")


def _shortened(value: Any) -> Any:
    """The same with twelve digits of every hash and at most five of a number."""
    if isinstance(value, Mapping):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, float) and abs(value) < 1e5:
        return f"{value:.5g}"
    return value[:12] if isinstance(value, str) and HASH.fullmatch(value) else value


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping) or _is_long(value)


def _is_long(value: object) -> bool:
    return isinstance(value, list) and any(len(str(item)) > 30 for item in value)


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same as Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(cell, row.values()) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rewrite_between_marks(path: Path, text: str) -> None:
    """Replace what stands between the result marks of a file.

    Raises
    ------
    InputError
        The file has no marks.
    """
    before, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise InputError(f"{path} needs the lines {START} and {END}, but has not both. Add them.")
    write_text(path, f"{before}{START}\n{text}{END}{after}")


def cell(value: object) -> str:
    """One value as text.

    Examples
    --------
    >>> cell(None), cell(0.123456), cell((0.7, 0.85)), cell(["a", "b"]), cell({"a": 1, "b": []})
    ('–', '0.1235', '0.700–0.850', 'a, b', 'a 1, b –')
    """
    if value is None:
        return DASH
    if isinstance(value, tuple):  # an interval
        return DASH.join(f"{bound:.3f}" for bound in value)
    if isinstance(value, Mapping):
        value = [f"{name} {cell(inner)}" for name, inner in value.items()]
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or DASH
    return f"{value:.4f}" if isinstance(value, float) else str(value)
