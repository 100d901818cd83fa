"""Run the expectation suites in Great Expectations and build its Data Docs pages."""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..config.validation import ValidationParams
from ..system.files import write_json
from . import expectations  # noqa: F401 - registers; sets up great_expectations' import
from .expectation import EXPECTATIONS, SUITES, Expected

import great_expectations as gx  # isort: skip
from great_expectations.core.run_identifier import RunIdentifier  # isort: skip
from great_expectations.data_context.types.base import ProgressBarsConfig  # isort: skip

logger = logging.getLogger(__name__)

# One fixed run, so that equal data give equal pages.
RUN = RunIdentifier(
    run_name="validate", run_time=datetime.datetime(2024, 1, 9, tzinfo=datetime.UTC)
)
SUITES_FOLDER = Path("gx") / "expectations"  # as a file context keeps them
SHOWN = 50  # ids that a page lists per expectation


@dataclass(frozen=True)
class Result:
    """What one expectation found.

    Parameters
    ----------
    name, suite, severity : str
    rule : str or None
        The cleaning rule that removes what failed.
    about : str
        The expectation in words.
    success : bool
    n_failed : int
    ids : tuple
        What failed, by the suite's id.
    """

    name: str
    suite: str
    severity: str
    rule: str | None
    about: str
    success: bool
    n_failed: int
    ids: tuple[Any, ...]

    @property
    def stops(self) -> bool:
        """Whether the pipeline stops here."""
        return not self.success and self.severity == "critical"


def run_suites(
    tables: Mapping[str, pd.DataFrame], params: ValidationParams, site: Path
) -> list[Result]:
    """Validate each table with its suite and write Great Expectations' pages.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Suite name → table.
    params : ValidationParams
        Thresholds.
    site : Path
        Folder for the pages, and for the suites as a file context of Great Expectations reads
        them.

    Returns
    -------
    list of Result
        In the order of ``SUITES``, then by name.
    """
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Great Expectations' own dependencies
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        _add_site(context, site)
        source = context.data_sources.add_pandas("data")
        results = [
            result
            for suite in SUITES
            if suite in tables
            for result in _run_suite(context, source, suite, tables[suite], params, site)
        ]
        context.build_data_docs(site_names=["local"], build_index=False)
        return results


def _add_site(context: Any, site: Path) -> None:
    for name in list(context.variables.data_docs_sites or {}):
        context.delete_data_docs_site(name)
    context.add_data_docs_site(
        "local",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(site),
            },
            # A result's page repeats its suite, so the suites' own pages are left out.
            "site_section_builders": {"expectations": "None", "profiling": "None"},
        },
    )


def _run_suite(
    context: Any, source: Any, suite: str, table: pd.DataFrame, params: ValidationParams, site: Path
) -> list[Result]:
    entries = [EXPECTATIONS[name] for name in EXPECTATIONS if EXPECTATIONS[name].suite == suite]
    built = [_build(entry, params) for entry in entries]
    built = [expectation for expectation in built if _applies(expectation, table)]
    expected = gx.ExpectationSuite(suite, expectations=built)
    # before the context gives it random ids
    write_json(site / SUITES_FOLDER / f"{suite}.json", expected.to_json_dict())
    definition = gx.ValidationDefinition(
        name=suite,
        data=source.add_dataframe_asset(suite).add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(expected),
    )
    outcome = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table},
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [SUITES[suite][0]],
            "partial_unexpected_count": SHOWN,
            "include_unexpected_rows": False,
        },
        run_id=RUN,
    )
    return sorted((_result(found, suite) for found in outcome.results), key=lambda r: r.name)


def _build(entry: Expected, params: ValidationParams) -> Any:
    expectation = entry.build(params)
    expectation.severity = entry.severity
    expectation.meta = {"name": entry.name, "rule": entry.rule}
    return expectation


def _applies(expectation: Any, table: pd.DataFrame) -> bool:
    """Leave out what would look at an absent column, or take the median of no values.

    Other expectations report both: those on the table's columns, and those on reading the files.
    """
    column = getattr(expectation, "column", None)
    if column is None or column not in table.columns:
        return column is None
    is_median = isinstance(expectation, gx.expectations.ExpectColumnMedianToBeBetween)
    return not is_median or bool(table[column].notna().any())


def _result(found: Any, suite: str) -> Result:
    config = found.expectation_config
    values = found.result or {}
    failed = values.get("unexpected_index_list") or []
    ids = tuple(sorted({row[SUITES[suite][0]] for row in failed}))
    if found.exception_info and "exception_message" in found.exception_info:
        message = found.exception_info["exception_message"]
        if message:
            raise RuntimeError(f"Expectation {config.meta['name']} failed to run: {message}")
    return Result(
        name=config.meta["name"],
        suite=suite,
        severity=str(getattr(config.severity, "value", config.severity)),
        rule=config.meta["rule"],
        about=config.description or config.type,
        success=bool(found.success),
        n_failed=int(values.get("unexpected_count") or len(ids) or (not found.success)),
        ids=ids,
    )
