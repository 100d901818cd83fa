"""Apply every rule: what is kept, what is in quarantine, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..config.validation import ValidationParams
from . import rules  # noqa: F401 - registers the rules
from .evidence import Evidence
from .rule import RULES, Finding

QUARANTINE_COLUMNS = ("kind", "id", "rule", "detail")


@dataclass(frozen=True)
class Cleaned:
    """What the rules left and took.

    Parameters
    ----------
    kept : array, shape (n_windows,), bool
        Rows of train.csv that stay.
    quarantine : DataFrame
        ``kind, id, rule, detail``, sorted, one row per item and rule; for windows the id is
        the label_id.
    rows : DataFrame
        ``row, rule``: the rows of train.csv that each rule removed.
    """

    kept: np.ndarray
    quarantine: pd.DataFrame
    rows: pd.DataFrame


def clean(evidence: Evidence, params: ValidationParams) -> Cleaned:
    """Run the rules in their order over the evidence."""
    found: list[tuple[str, int, str, str]] = []
    for order in sorted({rule.order for rule in RULES.values()}):
        batch = [
            (finding.kind, finding.key, rule.name, finding.detail)
            for rule in RULES.values()
            if rule.order == order
            for finding in _with_windows(rule.find(evidence, params), evidence)
        ]
        found += batch
        rows = np.zeros(len(evidence.windows), bool)
        rows[[key for kind, key, _, _ in batch if kind == "window"]] = True
        files = frozenset((kind, key) for kind, key, _, _ in batch if kind != "window")
        evidence = evidence.without(rows, files)
    return _tabulate(found, evidence)


def _with_windows(findings: Iterable[Finding], evidence: Evidence) -> Iterable[Finding]:
    """A file's finding is followed by one for each of its windows."""
    places = {
        kind: evidence.windows.groupby(f"{kind}_id").indices for kind in ("eeg", "spectrogram")
    }
    for finding in findings:
        yield finding
        if finding.kind != "window":
            detail = f"cut from {finding.kind} {finding.key}"
            for row in places[finding.kind].get(finding.key, ()):
                yield Finding("window", int(row), detail)


def _tabulate(found: list[tuple[str, int, str, str]], evidence: Evidence) -> Cleaned:
    table = pd.DataFrame(found, columns=["kind", "key", "rule", "detail"])
    is_window = (table["kind"] == "window").to_numpy()
    labels = evidence.windows["label_id"].to_numpy()
    ids = table["key"].to_numpy(np.int64, copy=True)
    ids[is_window] = labels[ids[is_window]]
    quarantine = table.assign(id=ids)[list(QUARANTINE_COLUMNS)]
    quarantine = quarantine.sort_values(list(QUARANTINE_COLUMNS), kind="stable")
    quarantine = quarantine.drop_duplicates(["kind", "id", "rule"], ignore_index=True)
    rows = table.loc[is_window, ["key", "rule"]].rename(columns={"key": "row"})
    return Cleaned(~evidence.removed_rows, quarantine, rows.drop_duplicates(ignore_index=True))
