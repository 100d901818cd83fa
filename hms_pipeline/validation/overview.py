"""The first page of the Data Docs: what was removed, by which rule, and which ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import pandas as pd

from . import report
from .checks import Result

SHOWN = 12
# Equal data give equal bytes, so the run's date is the file's, which the browser knows.
WRITTEN = (
    '<script>for (const e of document.querySelectorAll(".written"))'
    " e.textContent = document.lastModified;</script>"
)
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
    parts = [_verdict(results), _counts(counts)]
    if quarantine is not None:
        parts.append(_rules(quarantine))
    parts.append(_suites(results, pages))
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Data Docs</title><style>\n{style}</style></head>\n"
        '<body class="overview"><h1>Is this data set sound?</h1>\n'
        '<p>Validated <span class="written">at this file\'s own date</span></p>\n'
        f"{body}\n{WRITTEN}</body></html>\n"
    )


def _table(names: Sequence[str], rows: Iterable[str]) -> str:
    heads = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>"


def _verdict(results: Sequence[Result]) -> str:
    failed = [r for r in results if not r.success]
    critical = [r for r in failed if r.severity == "critical"]
    if critical:
        items = "".join(f"<li>{_failure(r)}</li>" for r in critical)
        return (
            '<p class="bad">No: the pipeline stops here. Critical expectations failed:</p>'
            f"<ul>{items}</ul>"
        )
    if failed:
        return (
            '<p class="fair">Yes, after cleaning: no critical expectation failed;'
            " what the rules below removed is in quarantine.</p>"
        )
    return '<p class="good">Yes: every expectation holds.</p>'


def _failure(result: Result) -> str:
    ids = ", ".join(str(value) for value in result.ids[:SHOWN])
    where = f" First: {escape(ids)}." if ids else ""
    return f"{escape(result.about)}{where}"


def _counts(counts: Counts) -> str:
    if not counts:
        return ""
    rows = [
        f"<tr><th>{kind}</th>"
        + "".join(f"<td>{counts[kind][name]:,}</td>" for name in ("all", "kept", "quarantined"))
        + "</tr>"
        for kind in report.KINDS
    ]
    return f"<h2>What is left</h2>{_table(('', 'all', 'kept', 'in quarantine'), rows)}"


def _rules(quarantine: pd.DataFrame) -> str:
    if quarantine.empty:
        return "<h2>What was removed</h2><p>Nothing.</p>"
    heads = "rule", "what is wrong", "windows", "EEGs", "spectrograms", "which"
    return (
        "<h2>What was removed, and why</h2>"
        "<p>An item may break several rules; a file takes its windows with it. The whole list is"
        " in <code>quarantine.parquet</code>; <code>hms validate --report</code> prints it.</p>"
        f"{_table(heads, map(_rule, report.rows(quarantine, SHOWN)))}"
    )


def _rule(row: report.Row) -> str:
    found = row.windows, row.eegs, row.spectrograms
    counts = "".join(f"<td>{n:,}</td>" for n in found)
    items = (escape(example).partition(": ") for example in row.examples)
    shown = "".join(f"<li><b>{item}</b>: {detail}</li>" for item, _, detail in items)
    more = sum(found) - len(row.examples)
    tail = f"<li>and {more:,} more</li>" if more > 0 else ""
    opened = "" if more > 0 else " open"
    return (
        f'<tr id="{row.rule}"><th>{row.rule}</th><td>{escape(row.about)}</td>{counts}'
        f"<td><details{opened}><summary>{sum(found):,} ids</summary>"
        f"<ul>{shown}{tail}</ul></details></td></tr>"
    )


def _suites(results: Sequence[Result], pages: Mapping[str, str]) -> str:
    rows = "".join(_result(result, pages) for result in results if not result.success)
    held = {suite: [r for r in results if r.suite == suite] for suite in pages}
    links = "".join(
        f'<li><a href="{page}">{suite}</a>: {sum(r.success for r in held[suite])} of'
        f" {len(held[suite])} expectations hold</li>"
        for suite, page in pages.items()
    )
    heads = "severity", "expectation", "failed", "first ids", "page"
    table = _table(heads, [rows]) if rows else ""
    return f"<h2>Expectations that failed</h2>{table}<h2>All suites</h2><ul>{links}</ul>"


def _result(result: Result, pages: Mapping[str, str]) -> str:
    ids = ", ".join(str(value) for value in result.ids[:SHOWN])
    more = " …" if len(result.ids) > SHOWN else ""
    return (
        f'<tr><td class="{result.severity}">{result.severity}</td><td>{escape(result.about)}</td>'
        f"<td>{result.n_failed:,}</td><td>{escape(ids)}{more}</td>"
        f'<td><a href="{pages[result.suite]}">{result.suite}</a></td></tr>'
    )
