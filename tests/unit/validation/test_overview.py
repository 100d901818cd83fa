"""The first page of the Data Docs shows what files and rules say, and runs none of it."""

from __future__ import annotations

import pandas as pd

from hms_pipeline.validation import report
from hms_pipeline.validation.overview import render_overview

HOSTILE = "<script>alert('{{ 7 * 7 }}')</script>"


def test_names_and_reasons_are_shown_and_never_run() -> None:
    quarantine = pd.DataFrame(
        [{"kind": "window", "id": 1, "rule": HOSTILE, "detail": HOSTILE, "severity": "critical"}]
    )
    counts = {kind: {"all": 1234, "kept": 1233, "quarantined": 1} for kind in report.KINDS}
    html = render_overview(counts, quarantine, [], {HOSTILE: "page.html"}, "p {}")
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert "{{ 7 * 7 }}" in html.replace("&#39;", "'")
    assert "1,234" in html
