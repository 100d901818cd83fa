"""Links of the documentation lead somewhere, and so do the files that it names."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from .imports import PACKAGE, ROOMS, ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE = re.compile(r"`([^`\n]+)`")
IN_FILE = re.compile(r"(\w+/[\w/]+\.(?:py|js))(?:: ([\w.]+))?")
DOTTED = re.compile(rf"(?:(?:hms_pipeline|package)\.)?((?:{'|'.join(ROOMS)})(?:\.\w+)+)(?:\(.*\))?")
NAMED = re.compile(r"\b(?:docs|hms_pipeline|flows|tests|benchmarks)/[\w/-]+\.(?:md|py)\b")


def heading(text: str) -> str:
    """A heading as the anchor that GitHub makes of it."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lost = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert not lost, f"{page.name} links to {lost}."
    for link, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", text):
        target = page.parent / link if link else page
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
        assert anchor in map(heading, headings), f"{page.name}: {link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # tells of files as they were
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    assert not {name for name in named if not (ROOT / name).exists()}


def keys(values: object, path: str = "") -> set[str]:
    """The paths of all keys of a recipe, joined by dots."""
    if not isinstance(values, dict):
        return {path}
    return {path}.union(*(keys(value, f"{path}.{key}".strip(".")) for key, value in values.items()))


RECIPE = keys(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))


def is_there(code: str) -> bool:
    """Whether the file, definition or key that a piece of code names exists; True for the rest."""
    if found := IN_FILE.fullmatch(code):
        paths = [base / found[1] for base in (ROOT, PACKAGE, ROOT / "tests")]
        return any(path.exists() and defines(path, found[2] or "") for path in paths)
    if not (found := DOTTED.fullmatch(code)) or found[1] in RECIPE or (ROOT / code).exists():
        return True
    path, *names = PACKAGE, *found[1].split(".")
    while names and ((path / names[0]).is_dir() or (path / f"{names[0]}.py").exists()):
        path /= names.pop(0)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return all(defines(file, name) for name in names)


def defines(path: Path, dotted: str) -> bool:
    """Whether a file gives all parts of a name such as ``Class.method`` to something."""
    if path.suffix == ".py":
        return set(dotted.split(".")) - {""} <= bound(path)
    text = path.read_text(encoding="utf-8")
    return all(re.search(rf"\b{name}\b", text) for name in dotted.split("."))


@cache
def bound(path: Path) -> set[str]:
    """Names of a file's functions, classes, arguments, variables, attributes and imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add(other or name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_that_a_page_names_is_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # tells of code as it was
    lost = [code for code in CODE.findall(page.read_text(encoding="utf-8")) if not is_there(code)]
    assert not lost, f"{page.name} names {lost}, which do not exist."


def test_names_that_do_not_exist_are_noticed() -> None:
    wrong = ("inference.inbox.score_inbox", "report/svg.py", "scoring.no_such_key")
    wrong += ("data/reading.py: ReadingProcess.no_such_method",)
    wrong += ("data/reading.py: hang",)  # a word of its docstring
    assert not [code for code in wrong if is_there(code)]


def test_refusals_name_pages_that_are_there() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.yaml", "Makefile"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", text):
            assert (ROOT / page).exists(), f"{file} names {page}."
