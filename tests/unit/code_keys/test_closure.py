"""What counts for a piece of work, on small packages written for each question."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hms_pipeline.code_keys import closure
from hms_pipeline.system.errors import InputError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a package; ``a_b="..."`` is its file a/b.py."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / "package" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        for folder in [p for p in (tmp_path / "package").rglob("*") if p.is_dir()]:
            (folder / "__init__.py").touch()
        (tmp_path / "package" / "__init__.py").touch()
        return tmp_path / "package"

    return write


def reached(package: Path, *roots: str) -> set[str]:
    return set(closure(roots or ["a:work"], package).names) - set(roots or ["a:work"])


# (what is asked, files, what is reached from a:work)
CASES = {
    "names of its own module": (
        {"a": "def work(): return used()\ndef used(): ...\ndef unused(): ..."},
        {"a:used"},
    ),
    "over several steps, and to variables": (
        {"a": "N = M = 3\nK, L = N, 4\ndef work(): return K"},
        {"a:K", "a:N"},
    ),
    "relative imports and their other names": (
        {"a": "from .b.c import f as g\ndef work(): return g", "b__c": "def f(): ...\ng = 1"},
        {"b.c:f"},
    ),
    "absolute imports of the package": (
        {"a": "import package.b\ndef work(): return package.b.f", "b": "def f(): ...\ng = 1"},
        {"b:f"},
    ),
    "attributes of a module": (
        {"a": "from . import b\ndef work(): return b.f()", "b": "def f(): ...\ng = 1"},
        {"b:f"},
    ),
    "a module as a value: all of it": (
        {"a": "from . import b\ndef work(): return run(b)\ndef run(m): ...", "b": "f = g = 1"},
        {"a:run", "b:f", "b:g"},
    ),
    "imports inside a function, also unused": (
        {"a": "def work():\n from .b import f\n from .c import g\n f()", "b": "def f(): ...",
         "c": "def g(): ..."},
        {"b:f", "c:g"},
    ),
    "two imports of one name": (
        {"a": "def work(x):\n if x:\n  from .b import f\n else:\n  from .c import f\n f()",
         "b": "def f(): ...", "c": "def f(): ..."},
        {"b:f", "c:f"},
    ),
    "two imports of one name by a module": (
        {"a": "try:\n from .b import f\nexcept ImportError:\n from .c import f\n"
              "def work(): return f", "b": "def f(): ...", "c": "def f(): ..."},
        {"a:<import>", "b:f", "c:f"},
    ),
    "what a package imports of itself": (
        {"a": "from . import b\ndef work(): return b.c.f", "b__c": "def f(): ...\ng = 1",
         "b____init__": "from . import c"},
        {"b.c:f"},
    ),
    "annotations, quoted ones and those for type checkers": (
        {"a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n from .b import B\n"
              "class C: ...\ndef work(b: B, c: 'C | None'): ...", "b": "class B: ..."},
        {"a:C", "b:B"},
    ),
    "also a name that may be its own": (
        {"a": "def f(): ...\ndef g(): ...\ndef work(f, x):\n return f, [g for g in g]"},
        {"a:f", "a:g"},
    ),
    "a global that a function sets": (
        {"a": "n = 0\ndef work():\n global n\n n = 1"},
        {"a:n"},
    ),
    "decorators and defaults": (
        {"a": "import functools\ndef d(f): return f\nX = 1\n"
              "@functools.cache\ndef work(x=X): ...\nclass A:\n @d\n def m(self): ..."},
        {"a:X"},
    ),
    "methods whose name is used": (
        {"a": "class A:\n N = 1\n def used(self): ...\n def unused(self): ...\n"
              " def __len__(self): ...\n @property\n def size(self): ...\n"
              "def work(a): return A().used, a.size"},
        {"a:A", "a:A.used", "a:A.size"},
    ),
    "used after, and only there": (
        {"a": "class A:\n def one(self): return self.two()\n def two(self): ...\n"
              "def work(): return A, x().one\ndef x(): ..."},
        {"a:A", "a:A.one", "a:A.two", "a:x"},
    ),
    "what the class comes from, and what stands in its place": (
        {"a": "class A:\n def f(self): ...\nclass B(A):\n def f(self): ...\n"
              "class C(A):\n def f(self): ...\ndef work(): return B().f()"},
        {"a:A", "a:A.f", "a:B", "a:B.f"},
    ),
    "names as text": (
        {"a": "from operator import attrgetter\nclass A:\n def f(self): ...\n def g(self): ...\n"
              " def h(self): ...\ndef work(): return getattr(A(), 'f'), attrgetter('g')"},
        {"a:A", "a:A.f", "a:A.g"},
    ),
    "names as text that are put together elsewhere": (
        {"a": "class A:\n def f(self): ...\n def h(self): ...\nNAMES = ['f']\n"
              "def work(): return [getattr(A(), n) for n in NAMES]"},
        {"a:A", "a:A.f", "a:NAMES"},
    ),
    "the module's own names, computed": (
        {"a": "def f(): ...\ndef work(x): return globals()[x]"},
        {"a:f"},
    ),
    "patterns": (
        {"a": "class A:\n @property\n def x(self): ...\n"
              "def work(a):\n match a:\n  case A(x=1): ..."},
        {"a:A", "a:A.x"},
    ),
    "what a module does on import, once anything of it counts": (
        {"a": "from .b import f\ndef work(): return f", "b": "from .c import g\ndef f(): ...",
         "c": "import os\nos.environ['A'] = '1'\nprint(g)\ndef g(): ...\ndef h(): ..."},
        {"b:f", "c:<import>", "c:g"},
    ),
    "registering by a decorator that nobody knows": (
        {"a": "from .b import add, run\nimport functools\n@add\ndef entry(): return help()\n"
              "def help(): ...\n@functools.cache\ndef other(): ...\ndef work(): return run()",
         "b": "KEPT = []\ndef add(f):\n KEPT.append(f)\n return f\ndef run(): return KEPT"},
        {"a:<import>", "a:help", "b:add", "b:KEPT", "b:run"},
    ),
    "also one that is named by its module": (
        {"a": "from . import b\n@b.add(1)\ndef entry(): ...\ndef work(): ...",
         "b": "def add(n): ..."},
        {"a:<import>", "b:add"},
    ),
    "names bound by conditions": (
        {"a": "import sys\nif sys.platform == 'x':\n def f(): return g\nelse:\n f = None\n"
              "g = 1\nh = 1\ndef work(): return f"},
        {"a:<import>", "a:g"},
    ),
    "a name that had another value before": (
        {"a": "from .b import f\nf = f.g\ndef work(): return f", "b": "class f: ..."},
        {"a:f", "b:f"},
    ),
    "re-exports, where they are defined": (
        {"a": "from .c import f\ndef work(): return f", "c": "from .d import g as f", "d": "g = 1"},
        {"d:g"},
    ),
    "files that are no code": (
        {"a": "from pathlib import Path\ndef work(): return Path(__file__).parent / 'page.css'"},
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_reaches_just(case: str, write: Write) -> None:
    files, expected = CASES[case]
    assert reached(write(**files)) == expected


def test_methods_of_a_class_that_a_framework_calls_count_with_it(write: Write) -> None:
    one = "class A(Base):\n def forward(self): return 1\ndef work(): return A\n"
    files = {"a": f"from torch import Base\n{one}"}
    before = closure(["a:work"], write(**files)).digest
    files["a"] = files["a"].replace("1", "2")
    assert closure(["a:work"], write(**files)).digest != before


def test_a_method_that_a_decorator_may_hand_on_counts_with_its_class(write: Write) -> None:
    one = "import x\nclass A:\n @x.hook\n def m(self): return 1\ndef work(): return A\n"
    before = closure(["a:work"], write(a=one)).digest
    assert closure(["a:work"], write(a=one.replace("return 1", "return 2"))).digest != before


def test_a_method_that_python_calls_by_name_counts_with_its_class(write: Write) -> None:
    one = "class A:\n def keys(self): return 1\ndef work(): return {**A()}\n"
    before = closure(["a:work"], write(a=one)).digest
    assert closure(["a:work"], write(a=one.replace("return 1", "return 2"))).digest != before


def test_what_a_name_stands_for_counts(write: Write) -> None:
    text = "from .b import f as x, g as y\ndef work(): return x() - y()"
    b = "def f(): ...\ndef g(): ..."
    before = closure(["a:work"], write(a=text, b=b)).digest
    swapped = text.replace("f as x, g as y", "g as x, f as y")
    assert closure(["a:work"], write(a=swapped, b=b)).digest != before
    text = "from os import path as p\ndef work(): return p"
    before = closure(["a:work"], write(a=text)).digest
    assert closure(["a:work"], write(a=text.replace("os", "sys"))).digest != before


def test_what_a_modules_name_stands_for_counts(write: Write) -> None:
    b, c = "from .c import f as x, g as y", "def f(): ...\ndef g(): ..."
    text = "from . import b\ndef work(): return b.x() - b.y()"
    before = closure(["a:work"], write(a=text, b=b, c=c)).digest
    swapped = b.replace("f as x, g as y", "g as x, f as y")
    assert closure(["a:work"], write(a=text, b=swapped, c=c)).digest != before


def test_how_an_import_is_written_does_not_count(write: Write) -> None:
    c = "from .b import f"
    digests = {
        closure(["a:work"], write(a=f"{way}\ndef work(): return f", b="def f(): ...", c=c)).digest
        for way in ("from .b import f", "from package.b import f", "from .c import f, f as g")
    }
    assert len(digests) == 1


def test_order_and_unused_code_of_a_file_do_not_count(write: Write) -> None:
    one, two = "def work(): return f\n", "def f(): ...\n"
    digests = {
        closure(["a:work"], write(a=text)).digest
        for text in (one + two, two + one, f"{one}def g(): ...\n{two}", f"import os\n{one}{two}")
    }
    assert len(digests) == 1


def test_a_file_that_is_no_code_counts_where_it_is_named(write: Write) -> None:
    package = write(a="def work(): return 'page.css'\ndef other(): ...")
    page = package / "page.css"
    page.write_text("one")
    assert reached(package) == {"page.css"}
    assert reached(package, "a:other") == set()
    before = closure(["a:work"], package).digest
    page.write_text("two")
    assert closure(["a:work"], package).digest != before


REFUSED = {
    "from .b import *\ndef work(): return f": "line 1: .* an import of [*]",
    "from os import *\ndef work(): ...": "line 1: .* an import of [*]",
    "def work():\n from .c import f": "line 2: .* package.c.f is not there",
    "from .b import g\ndef work(): return g": "line 1: .* package.b.g is not there",
    "from ... import g\ndef work(): return g": "line 1: .* leaves the package",
    "from . import b\ndef work():\n\n return b.g": "line 4: .* module b has no g",
    "import importlib\ndef work(x): return importlib.import_module(x)": "line 2: .* is computed",
    "import importlib as i\ndef work(x): return map(i.import_module, x)": "line 2: .* is computed",
    "from importlib import import_module\ndef work(x): return import_module(f'{x}')": "is computed",
    "import importlib as i\ndef work(): i.import_module('package.c')": "line 2: .* is not there",
    "def work(x): return __import__(x)": "line 1: .* is computed",
    "def work(x): exec(x)": "line 1: .* is computed",
    "def work(x:": "line 1: .* cannot be parsed",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_followed_is_refused_by_its_place(text: str, write: Write) -> None:
    package = write(a=text, b="def f(): ...")
    with pytest.raises(InputError, match=rf"a\.py, {'.*' if 'line' not in REFUSED[text] else ''}"):
        closure(["a:work"], package)
    with pytest.raises(InputError, match=REFUSED[text]):
        closure(["a:work"], package)


def test_what_is_not_reached_may_be_impossible_to_follow(write: Write) -> None:
    package = write(
        a="import importlib\ndef work(): ...\ndef other(x): return importlib.import_module(x)"
    )
    assert reached(package) == set()


def test_a_constant_import_is_followed(write: Write) -> None:
    a = "import importlib\ndef work(): return importlib.import_module('package.b')"
    assert reached(write(a=a, b="def f(): ...")) == {"b:f"}


def test_a_root_that_is_not_there_is_refused(write: Write) -> None:
    package = write(a="def work(): ...")
    for root in ("a:play", "b", "b:work"):
        with pytest.raises(InputError, match=f"Code keys need {root}, but .* has none"):
            closure([root], package)


RECIPE = {
    "config__params": """
        from .sections import Gate, Split, Base, model_validator
        class Params(Base):
            gate: Gate
            split: Split
            views: dict
            @model_validator(mode="after")
            def _fits(self): return self.split
            def half(self): return self.gate
        def load_params() -> Params: return Params()
        """,
    "config__sections": """
        from pydantic import BaseModel as Base, model_validator
        class Gate(Base): ...
        class Split(Base): ...
        """,
}
HEAD = "from typing import Any\nfrom .config.params import Params, load_params\n"
GATE = {"config.params:Params.gate", "config.sections:Gate"}
SPLIT = {"config.params:Params.split", "config.sections:Split"}
ALL = GATE | SPLIT | {"config.params:Params.views", "config.params:Params.half"}
SECTIONS = {
    "def work(params: Params): return params.gate": GATE,
    "def work(params: Params | None): return params.gate, 'x'.split()": GATE,
    "def work(params: Params, text: str): return text.split()": set(),
    "def work(params: Params, text: str):\n text = text + '1'\n return text.split()": set(),
    "class Work:\n def __init__(self, params: Params):\n  self.gate = 1\n  self.gate()": set(),
    "def work(params: Params, gate):\n return gate.gate": set(),
    "def work(own_params: Params): return own_params.gate": GATE,
    "def work(params: Params): return (params or load_params()).gate": GATE,
    "import copy\ndef work(params: Params): return copy.copy(params).gate": GATE,
    "def work(params: Params): return params.model_copy().gate": GATE,
    "def work(): return load_params().split": SPLIT,
    "def work(params: list[Params]): return params[0].split": SPLIT,
    "class Job:\n params: Params\ndef work(job: Job): return job.params.split": SPLIT,
    "def work(params: Params): return getattr(params, 'gate')": GATE,
    "import operator\ndef work(params: Params): return operator.attrgetter('gate.x')(params)": GATE,
    "def work(params):\n match params:\n  case Params(gate=g): ...": GATE,
    "def work(params: Params): return params.half()": GATE | {"config.params:Params.half"},
    "def work(params: Params): return params.model_dump()": ALL,
    "def work(params: Params): return vars(params)": ALL,
    "def work(params: Params, n): return getattr(params, n)": ALL,
    "def work(params: dict[str, Params | int]): return dict(params)": ALL,
    "def work(own_params: Params, params: dict[str, int]): return dict(params)": set(),
}


@pytest.mark.parametrize("text", SECTIONS)
def test_a_section_of_the_recipe_counts_where_it_is_read(text: str, write: Write) -> None:
    package = write(a=HEAD + text, **RECIPE)
    root = "a:Work" if "Work" in text else "a:work"
    found = reached(package, root)
    assert "config.params:Params" in found
    assert found - {"config.params:Params", "config.params:load_params", "a:Job"} == SECTIONS[text]


HIDDEN = (
    "class Work:\n recipe: Params",
    "class Work:\n def __init__(self, recipe: Params): ...",
    "class Work:\n def recipe(self) -> 'Params | None': ...",
    "class Work:\n def __init__(self, params: Params): self.recipe = params",
    "class Work:\n def work(self):\n  recipe: Params = self.params",
)


@pytest.mark.parametrize("text", HIDDEN)
def test_another_name_for_the_recipe_is_refused(text: str, write: Write) -> None:
    with pytest.raises(InputError, match="line [345]: .* recipe (hides|is another)"):
        closure(["a:Work"], write(a=HEAD + text, **RECIPE))
