"""A syntax tree's hash: without docstrings, comments and layout, equal in every Python."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Container, Iterable
from functools import cache
from itertools import groupby

from .source import is_text

# Fields that say nothing of what runs, or that some versions of Python do not have.
_LEFT_OUT = {"ctx", "kind", "type_comment", "type_ignores"}


def hash_text(parts: Iterable[str]) -> str:
    """SHA-256 of lines, hex."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def spell(nodes: Iterable[ast.AST], left_out: Container[int] = ()) -> str:
    """Syntax trees as text: kinds of nodes, names and constants.

    Left out are docstrings, comments, layout, and import statements: what a name stands for is
    counted by whoever resolves it. ``ast.dump`` and ``ast.unparse`` change with Python's version.

    Parameters
    ----------
    nodes : iterable of AST
    left_out : container of int, optional
        ``id`` of nodes that do not count, besides.
    """
    out: list[str] = []
    for node in nodes:
        _spell(node, out, left_out)
    return "".join(out)


def _spell(value: object, out: list[str], left_out: Container[int]) -> None:
    if isinstance(value, ast.AST):
        if isinstance(value, ast.Constant):
            out.append(_constant(value.value))
        elif isinstance(value, ast.JoinedStr):
            _spell_joined(value, out, left_out)
        elif not isinstance(value, ast.Import | ast.ImportFrom) and not is_text(value):
            _spell_fields(value, out, left_out)
    elif isinstance(value, list):
        out.append("[")
        for item in value:
            _spell(item, out, left_out)
        out.append("]")
    else:  # a name, a number of dots, or a key that a dict's ** lacks
        out.append(f"{value!a},")


def _spell_fields(node: ast.AST, out: list[str], left_out: Container[int]) -> None:
    kind = type(node).__name__
    out.append(f"{kind}(")
    for name in _fields(kind):
        value = getattr(node, name, None)
        if value is not None and value != [] and id(value) not in left_out:
            out.append(f"{name}=")
            _spell(value, out, left_out)
    out.append(")")


@cache
def _fields(kind: str) -> list[str]:
    return [name for name in getattr(ast, kind)._fields if name not in _LEFT_OUT]


def _spell_joined(node: ast.JoinedStr, out: list[str], left_out: Container[int]) -> None:
    """An f-string; Python 3.11 and 3.12 cut its text into different pieces."""
    out.append("JoinedStr(")
    for constant, parts in groupby(node.values, lambda part: isinstance(part, ast.Constant)):
        if not constant:
            for part in parts:
                _spell(part, out, left_out)
        elif text := "".join(str(getattr(part, "value", "")) for part in parts):
            out.append(_constant(text))
    out.append(")")


def _constant(value: object) -> str:
    """A constant by type and value; text that is printable in one Python may not be in another."""
    spelled = hex(value) if type(value) is int else ascii(value)
    return f"{type(value).__name__}:{spelled},"
