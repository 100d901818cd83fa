"""Tables on the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ..system.errors import InputError
from ..system.files import atomic
from .app import out

START, END = "<!-- results:start -->", "<!-- results:end -->"


def print_table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows with the same keys as a table; numbers with four digits."""
    table = Table(title=title)
    for name in rows[0] if rows else ():
        table.add_column(str(name), overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    out.print(table)


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
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
    with atomic(path) as temporary:
        temporary.write_text(f"{before}{START}\n{text}{END}{after}", encoding="utf-8")


def cell(value: object) -> str:
    """One cell as text; None is a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
