"""Data Docs: Great Expectations' pages made self-contained, and the page that opens first.

All that depends on the form of its pages, which is private to it, stands here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ..config.validation import ValidationParams
from ..system.files import atomic
from .checks import SUITES_FOLDER, Result, run_suites
from .overview import WRITTEN, Counts, render_overview

from great_expectations.render import util as rendering  # isort: skip

STYLE = (Path(__file__).parent / "pages.css").read_text(encoding="utf-8")
# Great Expectations' pages draw style and scripts from seven hosts: they would be bare offline,
# and would tell those hosts who looks at the data.
_OUTSIDE = re.compile(
    r"<link\b[^>]*https?://[^>]*>|<script\b[^>]*\bsrc=[^>]*>\s*</script>|<img\b[^>]*https?://[^>]*>",
    re.DOTALL,
)
_LOADED = re.compile(r"""<[^>]*\bsrc=["']?(https?:)?//|<link\b[^>]*https?://|<script\b""")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\b20\d{6}T\d{6}\.\d+Z")
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
_FOOTER = re.compile(r"<footer\b.*?</footer>", re.DOTALL)
FIXED_TIME = "20240109T000000.000000Z"
SHOWN_TIME = "2024-01-09T00:00:00Z"

_table_of_indices = rendering._convert_unexpected_indices_to_df  # noqa: SLF001 - see below


def _values_in_order(
    unexpected_index_list: list[Any], unexpected_index_column_names: list[str] | None, **rest: Any
) -> pd.DataFrame:
    """Join the values of several columns; Great Expectations orders them anew in each run."""
    rows = unexpected_index_list
    if unexpected_index_column_names:
        ids = set(unexpected_index_column_names)
        names = [name for name in rows[0] if name not in ids]
        rows = [
            {"value": row[names[0]] if len(names) == 1 else ", ".join(str(row[n]) for n in names)}
            | {name: row[name] for name in unexpected_index_column_names}
            for row in rows
        ]
    return _table_of_indices(
        unexpected_index_list=rows,
        unexpected_index_column_names=unexpected_index_column_names,
        **rest,
    )


rendering._convert_unexpected_indices_to_df = _values_in_order  # noqa: SLF001


def build_docs(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    params: ValidationParams,
    counts: Counts,
    quarantine: pd.DataFrame | None,
) -> list[Result]:
    """Run the suites and write their pages, with an overview as ``index.html``.

    Parameters
    ----------
    folder : Path
        The Data Docs folder; replaced as a whole.
    tables : mapping of str to DataFrame
        Suite name → table.
    params : ValidationParams
        Thresholds.
    counts, quarantine
        See ``render_overview``.

    Returns
    -------
    list of Result
    """
    with TemporaryDirectory() as temporary, atomic(folder) as out:
        site = Path(temporary) / "site"
        results = run_suites(tables, params, site)
        pages = {}
        for suite in tables:
            (page,) = (site / "validations" / suite).rglob("*.html")
            pages[suite] = f"{suite}.html"
            _write(out / pages[suite], _self_contained(page.read_text(encoding="utf-8"), suite))
        shutil.copytree(site / SUITES_FOLDER, out / SUITES_FOLDER)
        _write(out / "index.html", render_overview(counts, quarantine, results, pages, STYLE))
    return results


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _self_contained(page: str, suite: str) -> str:
    """The same content without outside references, times or random ids; names the table."""
    page = _OUTSIDE.sub("", page)
    page = _SCRIPT.sub("", page)
    page = _FOOTER.sub("", page)
    numbers: dict[str, str] = {}
    page = _UUID.sub(lambda m: numbers.setdefault(m[0], f"id-{len(numbers)}"), page)
    page = _TIME.sub(FIXED_TIME, page)
    page = re.sub(r'href="[^"]*index\.html"', 'href="index.html"', page)
    page = re.sub(r'href="[^"]*expectations/[^"]*\.html"', 'href="index.html"', page)
    if "</head>" not in page or _LOADED.search(page):
        raise RuntimeError(
            "A page of Great Expectations has another form than the pinned release's."
            " Install the release that requirements.lock names."
        )
    page = page.replace("Data asset: None", f"Data asset: {suite}")
    page = page.replace(SHOWN_TIME, '<span class="written">the file\'s own date</span>')
    page = page.replace("</body>", f"{WRITTEN}\n</body>", 1)
    return page.replace("</head>", f"<style>\n{STYLE}</style>\n</head>", 1)
