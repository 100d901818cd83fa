"""Stage `validate`: measure every file, apply every rule, write tables and Data Docs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..config import Params, Paths
from ..data.competition import read_table
from ..schema import TRAIN_COLUMNS
from ..system.errors import InputError
from ..system.files import write_sealed, write_table
from ..system.progress import Progress, silent
from .cleaning import Cleaned, clean
from .evidence import Evidence, gather
from .rule import RULES
from .survey import survey
from .tables import removed_share, suite_tables
from .train_table import normalise, typed

if TYPE_CHECKING:
    from .checks import Result

logger = logging.getLogger(__name__)


def run(
    paths: Paths, params: Params, *, workers: int | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Validate the data folder.

    Parameters
    ----------
    paths : Paths
        ``data`` is read; ``validated`` is written.
    params : Params
        Section ``validation`` holds the thresholds.
    workers : int or None
        Processes; None takes one per core.
    progress : callable, optional
        Called with (files done, files in all).

    Returns
    -------
    dict
        What ``validated/summary.json`` holds.

    Raises
    ------
    InputError
        The data folder is missing, or a critical expectation failed; the sentence names the
        page that says more. Everything but windows.parquet is written all the same.
    """
    limits = params.validation
    raw = read_table(paths.data / "train.csv")
    paths.windows.unlink(missing_ok=True)
    train = _numbers(raw)
    if train is None:
        _refuse_critical(paths, _document(paths, params, {"train_csv": _numbered(raw)}, {}, None))
        raise InputError(f"train.csv cannot be read as a table of windows; see {_page(paths)}.")
    found = survey(
        paths.data, train, limits, workers=workers, progress=progress, meanwhile=_import_docs
    )
    evidence = gather(found)
    cleaned = clean(evidence, limits)
    summary = summarise(evidence, cleaned)
    tables = {"train_csv": _numbered(raw)} | suite_tables(evidence, cleaned)
    results = _document(paths, params, tables, summary["counts"], cleaned.quarantine)
    summary["failed_expectations"] = {r.name: r.n_failed for r in results if not r.success}
    summary["critical_failures"] = [r.name for r in results if r.stops]
    write_table(paths.recordings, found.recordings)
    write_table(paths.quarantine, cleaned.quarantine)
    write_sealed(paths.validated / "summary.json", summary)
    _refuse_critical(paths, results)
    write_table(paths.windows, typed(evidence.windows[cleaned.kept]))
    return summary


def summarise(evidence: Evidence, cleaned: Cleaned) -> dict[str, Any]:
    """Counts of what came, what is kept, and what each rule removed.

    Returns
    -------
    dict
        ``counts``: kind → ``all, kept, quarantined``; ``rules``: rule → kind → items;
        ``removed_share``: windows removed by rules other than ``overlap``.
    """
    quarantine = cleaned.quarantine
    counts = {"window": _counts(len(cleaned.kept), int(np.sum(~cleaned.kept)))}
    for kind in ("eeg", "spectrogram"):
        gone = quarantine.loc[quarantine["kind"] == kind, "id"].nunique()
        counts[kind] = _counts(len(evidence.files(kind)), int(gone))
    by_rule = quarantine.groupby(["rule", "kind"]).size()
    rules = {
        name: {kind: int(by_rule.get((name, kind), 0)) for kind in ("window", "eeg", "spectrogram")}
        for name in RULES
    }
    share = round(removed_share(cleaned), 6)
    return {"counts": counts, "rules": rules, "removed_share": share}


def _counts(every: int, gone: int) -> dict[str, int]:
    return {"all": every, "kept": every - gone, "quarantined": gone}


def _numbers(raw: pd.DataFrame) -> pd.DataFrame | None:
    """train.csv as numbers; None where it is not a table of windows at all."""
    if not len(raw) or not set(TRAIN_COLUMNS) <= set(raw.columns):
        return None
    try:
        return normalise(raw)
    except InputError as err:
        logger.debug("%s", err)
        return None


def _numbered(raw: pd.DataFrame) -> pd.DataFrame:
    return raw.reset_index(drop=True).rename_axis("row").reset_index()


def _import_docs() -> None:
    from . import docs  # noqa: F401 - importing great_expectations takes seconds


def _document(
    paths: Paths,
    params: Params,
    tables: dict[str, pd.DataFrame],
    counts: dict[str, dict[str, int]],
    quarantine: pd.DataFrame | None,
) -> list[Result]:
    from .docs import build_docs

    return build_docs(paths.data_docs, tables, params.validation, counts, quarantine)


def _page(paths: Paths) -> str:
    return str(paths.data_docs / "index.html")


def _refuse_critical(paths: Paths, results: Sequence[Result]) -> None:
    critical = [result for result in results if result.stops]
    if critical:
        first, more = critical[0], len(critical) - 1
        others = f" ({more} more critical)" if more else ""
        raise InputError(
            f"The data in {paths.data} must hold: {first.about.rstrip('.')}; it does not{others}."
            f" See {_page(paths)}, then correct the data."
        )
