"""A tree's hash: equal for equal code, in every Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hms_pipeline.code_keys.digest import hash_text, spell

from . import interpreters

SOURCE = Path(__file__).with_name("every_syntax.txt")
RECORDED = "2a3cd5b55f4f081f1c41cdc4a7066c8eae2501fc52909612d0c1d1802752f486"
PROGRAM = """
import ast, json
from hms_pipeline.code_keys.digest import hash_text, spell
print(json.dumps(hash_text([spell(ast.parse(json.load(sys.stdin)).body)])))
"""


def digest(text: str) -> str:
    return hash_text([spell(ast.parse(text).body)])


def test_every_syntax_has_its_recorded_digest() -> None:
    kinds = {type(node).__name__ for node in ast.walk(ast.parse(SOURCE.read_text()))}
    every = {
        kind.__name__
        for base in (ast.expr, ast.stmt, ast.pattern)
        for kind in base.__subclasses__()
        if kind.__module__ in ("ast", "_ast")
    }
    assert every - kinds <= {"TypeAlias", "TemplateStr", "Interpolation"} | DEPRECATED
    assert digest(SOURCE.read_text()) == RECORDED


DEPRECATED = {"Num", "Str", "Bytes", "NameConstant", "Ellipsis", "Index", "ExtSlice"}


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_another_python_spells_every_syntax_alike(version: str) -> None:
    found = interpreters.others()
    if version not in found:
        pytest.skip(f"no other Python {version} starts here")
    assert interpreters.run(found[version], PROGRAM, SOURCE.read_text()) == RECORDED


SAME = [
    ("x = 1", "x  =  (1)  # one"),
    ("def f():\n    return 1", 'def f():\n    """Docs."""\n\n    return 1'),
    ("class A:\n    x = 1", "class A:\n    'docs'\n    x = 1\n    'of x'"),
    ("x = 'ab'", "x = ('a'\n  \"b\")"),
    ("x = f'a{y}b'", "x = 'a' f'{y}' 'b'"),
    ("x = 'a'", "x = u'a'"),
    ("x = 1000", "x = 1_000"),
    ("def f(): ...\n", "def f():\n    '''Docs.'''\n    ...\n"),
]
OTHER = [
    ("x = 1", "x = 2"),
    ("x = 1", "x = True"),
    ("x = 1", "x = 1.0"),
    ("x = 0.0", "x = -0.0"),
    ("x = 'a'", "x = b'a'"),
    ("x = 'a'", "x = f'{a}'"),
    ("x = f'{a}{b}'", "x = f'{a} {b}'"),
    ("x = f'{a!r}'", "x = f'{a!s}'"),
    ("x = a.b", "x = a.c"),
    ("x = a(b=c)", "x = a(c)"),
    ("x = a[1:2]", "x = a[1::2]"),
    ("x = a < b", "x = a <= b"),
    ("x = {**a}", "x = {a}"),
    ("def f(a, b): pass", "def f(a, *, b): pass"),
    ("def f(a=1): pass", "def f(a=2): pass"),
    ("def f(a, *, b=None): pass", "def f(a=None, *, b): pass"),
    ("@a\ndef f(): pass", "def f(): pass"),
    ("def f(): pass", "async def f(): pass"),
    ("if a: b\nelse: c", "if a: c\nelse: b"),
    ("for i in a: b", "for i in a: pass\nelse: b"),
    ("try: a\nexcept b: c", "try: a\nfinally: c"),
    ("return_ = [a, b]", "return_ = (a, b)"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_layout_and_docstrings_do_not_count(one: str, two: str) -> None:
    assert digest(one) == digest(two)


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_whatever_changes_the_code_counts(one: str, two: str) -> None:
    assert digest(one) != digest(two)
