"""Every claim of docs/reference/clinical.md names a test, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PAGE = (TESTS.parent / "docs/reference/clinical.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


@cache
def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_is_there(file: str, test: str) -> None:
    assert test in functions(TESTS / file)


def test_every_row_of_a_table_of_claims_names_one() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.M)
    claims = [table.splitlines()[2:] for table in tables if "held by" in table.splitlines()[0]]
    assert len(claims) >= 5
    for row in (row for rows in claims for row in rows):
        assert ".py::test_" in row, f"Name the test that holds: {row[:80]}"
