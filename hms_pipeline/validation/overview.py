"""The first page of the Data Docs: what was removed, by which rule, and which ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from . import report
from .checks import Result

SHOWN = 12
# Equal data give equal bytes, so the run's date is the file's, which the browser knows.
WRITTEN = (
    '<script>for (const e of document.querySelectorAll(".written"))'
    " e.textContent = document.lastModified;</script>"
)
TEMPLATE = (Path(__file__).parent / "overview.html.j2").read_text(encoding="utf-8")
Counts = Mapping[str, Mapping[str, int]]


def render_overview(
    counts: Counts,
    quarantine: pd.DataFrame | None,
    results: Sequence[Result],
    pages: Mapping[str, str],
    style: str,
) -> str:
    """HTML of the page; equal content gives equal bytes.

    Parameters
    ----------
    counts : mapping
        Kind → ``{"all", "kept", "quarantined"}``; empty when no row could be looked at.
    quarantine : DataFrame or None
        ``kind, id, rule, detail``.
    results : sequence of Result
    pages : mapping of str to str
        Suite → its page.
    style : str
        CSS.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"thousands": "{:,}".format, "partition": str.partition}
    failed = [result for result in results if not result.success]
    return environment.from_string(TEMPLATE).render(
        counts=counts,
        kinds=report.KINDS,
        rules=None if quarantine is None else report.rows(quarantine, SHOWN),
        failed=failed,
        critical=[result for result in failed if result.stops],
        held={suite: [r.success for r in results if r.suite == suite] for suite in pages},
        pages=pages,
        shown=SHOWN,
        style=Markup(style),  # noqa: S704 - this package's own
        written=Markup(WRITTEN),  # noqa: S704 - likewise
    )
