"""What a retrain shows on Prefect's page: progress, stages, results, the gate's verdict, links."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from hms_pipeline.config import Paths, load_params
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import read_sealed
from hms_pipeline.system.progress import Progress

from .engine import Outcome

log = logging.getLogger(__name__)

PROGRESS_S = 2.0  # a busy server gets no more than one update in this time


def progress_bar(total: int) -> Progress:
    """Make a progress artifact and return what moves it."""
    artifact = create_progress_artifact(
        progress=0.0, key="retrain-progress", description=f"0 of {total} stages"
    )

    shown = 0.0

    def move(done: int, total: int) -> None:
        nonlocal shown
        if done < total and time.monotonic() - shown < PROGRESS_S:
            return
        shown = time.monotonic()
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                update_progress_artifact(
                    artifact,  # type: ignore[arg-type]
                    progress=100.0 * done / total,
                    description=f"{done} of {total} stages",
                )
        except Exception as err:
            log.debug("Progress not shown: %s", err)

    return move


def show_stages(outcomes: Sequence[Outcome]) -> None:
    """Show a table of the stages: how each ended, and after how many seconds."""
    create_table_artifact(
        table=[
            {
                "stage": outcome.stage,
                "state": outcome.state,
                "seconds": round(outcome.seconds, 1),
                "note": outcome.message.splitlines()[0] if outcome.message else "",
            }
            for outcome in outcomes
        ],
        key="retrain-stages",
        description="Stages of this run",
    )


def show_results(paths: Paths) -> None:
    """Show the table of results and the gate's verdict, if their files exist."""
    if (paths.ensemble / "metrics.json").is_file():
        from hms_pipeline.cli.tables import cell
        from hms_pipeline.ensemble.stage import results_table  # loads scipy; not for every flow

        rows = [{key: cell(v) for key, v in row.items()} for row in results_table(paths)]
        create_table_artifact(
            table=rows, key="retrain-results", description="KL divergence on out-of-fold windows"
        )
    registration = read_registration(paths)
    if registration:
        create_markdown_artifact(
            markdown=verdict(registration), key="retrain-verdict", description="The gate's verdict"
        )


def show_links(paths: Paths, mlflow_run: str | None) -> None:
    """Show where the Data Docs lie, and a link to the run in MLflow.

    A browser does not open a link to a file from a server's page, so files are only named.
    """
    docs = paths.data_docs / "index.html"
    if docs.exists():
        create_markdown_artifact(
            markdown=f"What validation found: open `{docs.absolute()}`.", key="data-docs"
        )
    if mlflow_run:
        named = f"MLflow run `{mlflow_run}` in `{paths.mlruns}`. See it: `make ui`."
        _link(paths, mlflow_run, "mlflow", "", "This retrain's run", named)


def _link(
    paths: Paths, mlflow_run: str | None, key: str, file: str, about: str, named: str
) -> None:
    """Link to a run's page or file on MLflow's server, or return ``named`` if there is none."""
    address = os.environ.get("HMS_MLFLOW_URL") or os.environ.get("MLFLOW_TRACKING_URI", "")
    if mlflow_run and address.startswith("http"):
        page = _mlflow_page(paths, address, mlflow_run, file)
        text = about if file else "MLflow"
        create_link_artifact(link=page, link_text=text, key=key, description=about)
    else:
        create_markdown_artifact(markdown=named, key=key)


def _mlflow_page(paths: Paths, address: str, run: str, file: str) -> str:
    from hms_pipeline.tracking.pages import run_page
    from hms_pipeline.tracking.store import open_client

    experiment = open_client(paths).get_run(run).info.experiment_id
    return run_page(address, experiment, run, file)


def _keep_report(paths: Paths, run: str, report: Path) -> None:
    """Put the report beside the run, where MLflow's server shows it."""
    from hms_pipeline.tracking.artifacts import log_file
    from hms_pipeline.tracking.store import open_to_write

    log_file(open_to_write(paths), paths, run, report, "report")


def show_file(
    paths: Paths, mlflow_run: str | None, key: str, file: Path, inside: str, about: str
) -> None:
    """Link to a file that MLflow's server shows, or name the file where there is no server."""
    named = f"{about}: open `{file.absolute()}`."
    _link(paths, mlflow_run, key, f"{inside}/{file.name}", about, named)


def show_history(paths: Paths) -> None:
    """Table of every registered version: its KL, and what the gate said of it."""
    from hms_pipeline.cli.tables import cell
    from hms_pipeline.registry.api import list_versions

    names = ("version", "aliases", "recipe", "kl", "interval", "verdict")
    rows = [{name: cell(row[name]) for name in names} for row in list_versions(paths)]
    if rows:
        create_table_artifact(table=rows, key="versions", description="KL over the retrains")


def show_report(paths: Paths, mlflow_run: str | None) -> None:
    """Write the retrain's report and link to it. If it cannot be written, the run goes on."""
    if not (paths.ensemble / "metrics.json").is_file():
        return
    try:
        from hms_pipeline.report.retrain import write_retrain_report

        report = write_retrain_report(paths, load_params(paths.params))
        if mlflow_run:
            _keep_report(paths, mlflow_run, report)
        show_file(paths, mlflow_run, "retrain-report", report, "report", "This retrain on one page")
    except Exception as err:
        log.warning("No report of the retrain: %s", err)


def verdict(registration: dict[str, Any]) -> str:
    """The gate's verdict as Markdown."""
    lines = ["## Gate", "", "| | |", "|---|---|"]
    for key, value in registration.items():
        shown = value if isinstance(value, str | int | float) else json.dumps(value)
        lines.append(f"| {key} | {str(shown).replace('|', '/')} |")
    return "\n".join(lines)


def read_registration(paths: Paths) -> dict[str, Any]:
    """Read what the stage `register` wrote; empty if that is missing or damaged."""
    try:
        return read_sealed(paths.registration, "hms register")
    except (InputError, OSError):
        return {}
