"""Links of the documentation lead somewhere, and so do the files that it names."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
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


def test_refusals_name_pages_that_are_there() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.yaml", "Makefile"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", text):
            assert (ROOT / page).exists(), f"{file} names {page}."
