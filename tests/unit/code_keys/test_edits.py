"""Edits of small packages: equal behaviour has an equal key, other behaviour another."""

from __future__ import annotations

import importlib
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hms_pipeline.code_keys import closure
from hms_pipeline.system.errors import InputError

Files = dict[str, str]


def write(folder: Path, files: Files) -> Path:
    """Write a package; a name without a suffix is a module's."""
    package = folder / "package"
    for name, text in {"__init__": "", **files}.items():
        path = package / (name if Path(name).suffix else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return package


def digest(folder: Path, files: Files) -> str:
    return closure(["a:work"], write(folder, files)).digest


def anchored(rest: str) -> Files:
    """Code that asks for a file beside it."""
    return {"a": f"from pathlib import Path\ndef work(k): return Path(__file__).{rest}"}


def below(rest: str) -> Files:
    """Code in a folder that asks for a file."""
    call = "from .b.c import work as f\ndef work(k): return f(k)"
    return {"a": call, "b/__init__": "", "b/c": anchored(rest)["a"]}


TWO = {"b": "def f(): return 1", "c": "def f(): return 2"}
# What was edited: the files before, and those that the edit changes.
SAME: dict[str, tuple[Files, Files]] = {
    "types of arguments and results": (
        {"a": "def work(a: int, *b: str) -> int: return a"},
        {"a": "import numpy as np\ndef work(a: np.ndarray, *b) -> 'list[int]': return a"},
    ),
    "a type with an operator that is used": (
        {"a": "def work(x: int, y): return x | y"},
        {"a": "def work(x: int | None, y): return x | y"},
    ),
    "the type of a variable": (
        {"a": "def work():\n x: int = 1\n return x"},
        {"a": "def work():\n x: list[int] = 1\n return x"},
    ),
    "types of a method": (
        {"a": "class A:\n @property\n def f(self): return 1\ndef work(): return A().f"},
        {"a": "class A:\n @property\n def f(self) -> int: return 1\ndef work() -> A: return A().f"},
    ),
    "a file of this name that is another folder's": (
        anchored("with_name('x.json')") | {"x.json": "1", "tables/y.json": "1"},
        {"tables/y.json": "2"},
    ),
    "an editor's own files": ({"a": "def work(): ..."}, {".a/work-copy": "def work(x:"}),
    "order of imports": (
        {"a": "def work():\n from .b import f\n from .c import f as g\n return f, g", **TWO},
        {"a": "def work():\n from .c import f as g\n from .b import f\n return f, g"},
    ),
}
OTHER: dict[str, tuple[Files, Files]] = {
    "what a field's type says": (
        {"a": "class A:\n x: int = 1\ndef work(): return A"},
        {"a": "class A:\n x: 'ClassVar[int]' = 1\ndef work(): return A"},
    ),
    "types that a decorator may read": (
        {"a": "import app\n@app.command\ndef work(x: int): return x"},
        {"a": "import app\n@app.command\ndef work(x: float): return x"},
    ),
    "types of a constructor": (
        {"a": "class A:\n def __init__(self, x: int): ...\ndef work(): return A"},
        {"a": "class A:\n def __init__(self, x: float): ...\ndef work(): return A"},
    ),
    "types in a class that a framework reads": (
        {"a": "from x import B\nclass A(B):\n def f(self, x: int): ...\ndef work(): return A"},
        {"a": "from x import B\nclass A(B):\n def f(self, x: str): ...\ndef work(): return A"},
    ),
    "which of two imports is tried first": (
        {"a": "try: from .b import f\nexcept ImportError: from .c import f\n"
              "def work(): return f()", **TWO},
        {"a": "try: from .c import f\nexcept ImportError: from .b import f\n"
              "def work(): return f()"},
    ),
    "which of two imports runs": (
        {"a": "def work(x):\n if x:\n  from .b import f\n else:\n  from .c import f\n return f()",
         **TWO},
        {"a": "def work(x):\n if x:\n  from .c import f\n else:\n  from .b import f\n return f()"},
    ),
    "which of two other packages' imports runs": (
        {"a": "try: from x import f\nexcept ImportError: from y import f\ndef work(): return f()"},
        {"a": "try: from y import f\nexcept ImportError: from x import f\ndef work(): return f()"},
    ),
    "a variable that is changed after it was made": (
        {"a": "T = {}\nT['a'] = 1\ndef work(): return T"},
        {"a": "T = {}\nT['a'] = 2\ndef work(): return T"},
    ),
    "a variable that another module changes": (
        {"a": "from .b import T\nfrom . import c\ndef work(): return T", "b": "T = {}",
         "c": "from .b import T\nT['a'] = 1"},
        {"c": "from .b import T\nT['a'] = 2"},
    ),
    "order of two definitions of one name": (
        {"a": "def f(): return 1\ndef f(): return 2\ndef work(): return f()"},
        {"a": "def f(): return 2\ndef f(): return 1\ndef work(): return f()"},
    ),
    "order of base classes": (
        {"a": "class A:\n def f(self): ...\nclass B: ...\nclass C(A, B): ...\ndef work(): C().f"},
        {"a": "class A:\n def f(self): ...\nclass B: ...\nclass C(B, A): ...\ndef work(): C().f"},
    ),
    "a method that a table of names finds": (
        {"a": "class A:\n def f(self): return 1\nK = ['f']\ndef work(): return getattr(A, K[0])"},
        {"a": "class A:\n def f(self): return 2\nK = ['f']\ndef work(): return getattr(A, K[0])"},
    ),
    "a file by its path": (anchored("parent / 't/x.json'") | {"t/x.json": "1"}, {"t/x.json": "2"}),
    "a file by its folder": (
        anchored("with_name('t').iterdir()") | {"t/x.json": "1"}, {"t/x.json": "2"},
    ),
    "a file whose name is put together": (
        anchored("with_name(f'{k}.json')") | {"x.json": "1"}, {"x.json": "2"},
    ),
    "a file that a pattern finds": (
        anchored("parent.glob('*.json')") | {"x.json": "1"}, {"x.json": "2"},
    ),
    "a file with the module's name": (
        anchored("with_suffix('.json')") | {"a.json": "1"}, {"a.json": "2"},
    ),
    "a file that a pattern finds in a folder above": (
        below("parents[1].glob('*.j')") | {"x.j": "1"}, {"x.j": "2"},
    ),
    "a file in a folder two above": (below("parent.parent / k") | {"x.j": "1"}, {"x.j": "2"}),
    "a file by a path that leads up": (
        below("with_name(f'../{k}'), '..'") | {"x.j": "1", "b/y.j": "1"}, {"x.j": "2"},
    ),
    "a file in a folder above, by os.path": (
        below("name") | {"b/c": "import os\ndef work(k): return os.path.dirname(__file__) + k"}
        | {"x.j": "1"}, {"x.j": "2"},
    ),
    "a file by a folder that another definition finds": (
        {"a": "from .b.c import ROOT\ndef work(): return list((ROOT / 't').iterdir())",
         "b/__init__": "", "b/c": "from pathlib import Path\nROOT = Path(__file__).parents[1]"}
        | {"t/x.j": "1"}, {"t/x.j": "2"},
    ),
    "a file whose name is put together, beside a text that is another's name": (
        anchored("with_name(f'{k}.json'), 't'") | {"x.json": "1", "t/z.json": "1"},
        {"x.json": "2"},
    ),
    "a file deeper than the folder, beside a text that is another's name": (
        below("parent / k, 't'") | {"b/d/x.j": "1", "t/z.j": "1"}, {"b/d/x.j": "2"},
    ),
    "a file by another module's place": (
        {"a": "from . import b\ndef work(k): return open(b.c.__file__ + k)",
         "b/__init__": "from . import c", "b/c": "", "b/x.j": "1"}, {"b/x.j": "2"},
    ),
    "types that a decorator inside a function may read": (
        {"a": "import app\ndef work():\n @app.command\n def f(x: int): ...\n return f"},
        {"a": "import app\ndef work():\n @app.command\n def f(x: float): ...\n return f"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", SAME)
def test_what_changes_nothing_keeps_the_key(edit: str, tmp_path: Path) -> None:
    before, changed = SAME[edit]
    assert digest(tmp_path / "1", before) == digest(tmp_path / "2", before | changed)


@pytest.mark.parametrize("edit", OTHER)
def test_what_changes_something_changes_the_key(edit: str, tmp_path: Path) -> None:
    before, changed = OTHER[edit]
    assert digest(tmp_path / "1", before) != digest(tmp_path / "2", before | changed)


REFUSED = {
    "class A: ...\ndef work(): return A.__subclasses__()": "__subclasses__ depends on",
    "class A:\n def __init_subclass__(cls): ...\ndef work(): return A": "__init_subclass__ depends",
    "def work(): return work.__doc__": "__doc__ depends on",
    "def work(): return __doc__": "__doc__ depends on",
    "def work(): return work.__annotations__": "__annotations__ depends on",
    "import typing as t\ndef work(): return t.get_type_hints(work)": "what this finds is computed",
    "import inspect\ndef work(x): return inspect.getmembers(x)": "what this finds is computed",
    "from importlib.resources import files\ndef work(x): return files(x)": "is computed",
    "from importlib import resources\ndef work(x): return resources.open_text('package', x)":
        "is computed",
    "import package\ndef work(): return package.__path__": "__path__ depends on",
    "import inspect\ndef work(x): return inspect.signature(x)": "is computed",
    "from inspect import getdoc as g\ndef work(x): return g(x)": "is computed",
    "import sys\ndef work(x): return sys.modules[x]": "is computed",
    "def work(x): return dir(x)": "is computed",
    "class A: ...\ndef work(x): return A.__dict__[x]": "__dict__ depends on",
    "def work(): return getattr(work, '__doc__')": "__doc__ depends on",
    "K = '__annotations__'\ndef work(): return getattr(work, K)": "__annotations__ depends on",
    "from operator import attrgetter\ndef work(x): return attrgetter('f.__doc__')(x)":
        "__doc__ depends on",
    "def work(x): return getattr(x, 'run_{}'.format(x))": "attribute is put together",
    "def work(x): return getattr(x, '_'.join(x))": "attribute is put together",
    "from operator import attrgetter\ndef work(x): return attrgetter(*map(str, x))":
        "attribute is put together",
    "def work(x): return getattr(x, f'_{x}')": "attribute is put together",
    "def work(x): return getattr(x, 'run_' + x)": "attribute is put together",
    "def work(x): return locals()[x]": "is computed",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_a_key_would_miss_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a.py, line .*: {REFUSED[text]}|{REFUSED[text]}"):
        digest(tmp_path, {"a": text})


OPERATORS = (
    *("+", "-", "*", "/", "//", "%", "**", "@", "<<", ">>", "&", "|", "^"),
    *("and", "or", "<", "<=", ">", ">=", "==", "!=", "is", "in"),
)


def test_each_operator_counts_also_where_a_type_has_the_same(tmp_path: Path) -> None:
    types = ", ".join(f"1 {operator} 2" for operator in OPERATORS)
    digests = {
        digest(tmp_path / str(n), {"a": f"def work(x: ({types})): return x {operator} 3"})
        for n, operator in enumerate(OPERATORS)
    }
    assert len(digests) == len(OPERATORS)


# ---------------------------------------------------------------- drawn packages, drawn edits

IMPORTS = (
    "from .{m} import f{n}",
    "from {package}.{m} import f{n}",
    "try:\n    from .{m} import f{n}\nexcept ImportError:\n    f{n} = None",
)
SWAPPED = {IMPORTS[0]: IMPORTS[1], IMPORTS[1]: IMPORTS[0]}
WAYS = (
    "def f{n}():{doc}\n    return {value}{calls}",
    "def f{n}(x={value}):{doc}\n    return x{calls}",
    "V{n} = {{}}\nV{n}['v'] = {value}\ndef f{n}():{doc}\n    return V{n}['v']{calls}",
    "class C{n}:{doc}\n    v = {value}\n    def m{n}(self):\n        return self.v{calls}\n"
    "def f{n}():\n    return C{n}().m{n}()",
    "import functools\n@functools.cache\ndef f{n}():{doc}\n    return (lambda: {value})(){calls}",
)


@st.composite
def functions(draw: st.DrawFn) -> list[dict]:
    """Functions, each of which adds a number to what some later ones return."""
    size = draw(st.integers(2, 6))
    places = ["a", *sorted(draw(st.lists(st.sampled_from("abc"), min_size=size, max_size=size)))]
    return [
        {
            "n": n,
            "module": places[n],
            "value": draw(st.integers(0, 9)),
            "way": draw(st.sampled_from(WAYS)),
            "calls": sorted(draw(st.sets(st.sampled_from(range(n + 1, size + 1))))),
            "import": draw(st.sampled_from(IMPORTS)),
            "doc": "",
        }
        for n in range(size)
    ] + [{"n": size, "module": "c", "value": 1, "way": WAYS[0], "calls": [], "doc": ""}]


def modules(functions: list[dict], package: str) -> Files:
    texts: dict[str, list[str]] = {"a": ["def work():\n    return f0()"], "b": [], "c": []}
    for one in functions:
        others = [functions[n] | {"package": package} for n in one["calls"]]
        texts[one["module"]] += [
            one["import"].format(m=other["module"], **other)
            for other in others
            if other["module"] != one["module"]
        ]
    for one in functions:
        calls = "".join(f" + f{n}()" for n in one["calls"])
        texts[one["module"]].append(one["way"].format(**one | {"calls": calls}))
    return {name: "\n".join(text) for name, text in texts.items()}


EDITS: tuple[Callable[[list[dict], int], list[dict]], ...] = (
    lambda found, n: [f | {"value": f["value"] + (f["n"] == n)} for f in found],
    lambda found, n: [f | {"doc": f'\n    """{n}"""' if f["n"] == n else ""} for f in found],
    lambda found, n: [f | {"import": SWAPPED.get(f.get("import"), IMPORTS[2])} for f in found],
    lambda found, n: [*found, found[n] | {"n": len(found), "calls": []}],
    lambda found, n: found,
)


@settings(max_examples=40, deadline=None)
@given(found=functions(), edit=st.sampled_from(EDITS), n=st.integers(0, 6))
def test_a_drawn_edit_changes_the_key_where_it_changes_what_runs(
    found: list[dict], edit: Callable, n: int
) -> None:
    before, after = _run(found), _run(edit(found, n % len(found)))
    assert (before[0] == after[0]) == (before[1] == after[1])


def _run(functions: list[dict]) -> tuple[str, int]:
    """The key, and what ``work`` really returns."""
    with (
        tempfile.TemporaryDirectory(prefix="drawn") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.syspath_prepend(folder)
        package = write(Path(folder), modules(functions, "package"))
        try:
            answer = importlib.import_module("package.a").work()
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "package"]:
                del sys.modules[name]
        return closure(["a:work"], package).digest, answer
