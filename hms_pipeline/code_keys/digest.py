"""A syntax tree's hash: without docstrings, comments and layout, equal in every Python."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable

from .source import is_text

# Fields that say nothing of what runs, or that some versions of Python do not have.
_LEFT_OUT = {"ctx", "kind", "type_comment", "type_ignores"}
_fields: dict[type, tuple[str, ...]] = {}


def hash_text(parts: Iterable[str]) -> str:
    """SHA-256 of lines, hex."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def spell(nodes: Iterable[ast.AST]) -> str:
    """Syntax trees as text: kinds of nodes, names and constants.

    Left out are docstrings, comments, layout, and import statements: what a name stands for is
    counted by whoever resolves it. ``ast.dump`` and ``ast.unparse`` change with Python's version.
    """
    out: list[str] = []
    for node in nodes:
        _spell(node, out)
    return "".join(out)


def _spell(value: object, out: list[str]) -> None:
    if isinstance(value, ast.AST):
        if isinstance(value, ast.Constant):
            out.append(_constant(value.value))
        elif isinstance(value, ast.JoinedStr):
            _spell_joined(value, out)
        elif not isinstance(value, ast.Import | ast.ImportFrom) and not is_text(value):
            _spell_fields(type(value), value, out)
    elif isinstance(value, list):
        out.append("[")
        for item in value:
            _spell(item, out)
        out.append("]")
    else:  # a name, a number of dots, or a key that a dict's ** lacks
        out.append(f"{value!a},")


def _spell_fields(kind: type[ast.AST], node: ast.AST, out: list[str]) -> None:
    names = _fields.get(kind)
    if names is None:
        names = _fields[kind] = tuple(f for f in kind._fields if f not in _LEFT_OUT)
    out.append(f"{kind.__name__}(")
    for name in names:
        value = getattr(node, name, None)
        if value is not None and value != []:
            out.append(f"{name}=")
            _spell(value, out)
    out.append(")")


def _spell_joined(node: ast.JoinedStr, out: list[str]) -> None:
    """An f-string; Python 3.11 and 3.12 cut its text into different pieces."""
    text = ""
    out.append("JoinedStr(")
    for part in (*node.values, None):
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        if text:
            out.append(_constant(text))
            text = ""
        if part is not None:
            _spell_fields(type(part), part, out)
    out.append(")")


def _constant(value: object) -> str:
    """A constant by type and value; text that is printable in one Python may not be in another."""
    spelled = hex(value) if type(value) is int else ascii(value)
    return f"{type(value).__name__}:{spelled},"
