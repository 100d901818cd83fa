"""What a retrain shows on Prefect's page: progress, stages, results, the gate's verdict, links."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
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

DOCS = "data_docs"  # folder beside a run
LINK = re.compile(r'<a href="\w+\.html"[^>]*>(.*?)</a>', re.DOTALL)
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
    """Link to the run in MLflow and to the Data Docs beside it.

    A browser does not open a link to a file from a server's page, so files are only named.
    """
    with fails_no_run("No Data Docs"):
        show_docs(paths, mlflow_run)
    if mlflow_run:
        named = f"MLflow run `{mlflow_run}` in `{paths.mlruns}`. See it: `make ui`."
        _link(paths, mlflow_run, "mlflow", "", "This retrain's run", named)


def show_docs(paths: Paths, mlflow_run: str | None) -> None:
    """Show links to the Data Docs on MLflow's server; without one, the path of the first page."""
    pages = sorted(paths.data_docs.glob("*.html"), key=lambda page: page.stem != "index")
    if not pages:
        return
    if mlflow_run and mlflow_address():
        _keep_docs(paths, mlflow_run, pages)
        lines = [
            f"- [{'overview' if page is pages[0] else page.stem}]"
            f"({_mlflow_page(paths, mlflow_run, f'{DOCS}/{page.name}')})"
            for page in pages
        ]
    else:
        lines = [f"Open `{pages[0].absolute()}`."]
    create_markdown_artifact(
        markdown="\n".join(lines), key="data-docs", description="What validation found"
    )


def _keep_docs(paths: Paths, run: str, pages: Sequence[Path]) -> None:
    """Put the pages beside the run, without their links: MLflow shows each alone."""
    from hms_pipeline.tracking.store import open_to_write

    client = open_to_write(paths)
    with TemporaryDirectory() as folder:
        for page in pages:
            kept = Path(folder) / page.name
            text = LINK.sub(r"\1", page.read_text(encoding="utf-8"))
            # In MLflow's frame a page is as old as the look at it.
            written = datetime.fromtimestamp(page.stat().st_mtime, UTC)
            text = text.replace("document.lastModified", f'"{written:%Y-%m-%d %H:%M} UTC"')
            kept.write_text(text, encoding="utf-8")
            client.log_artifact(run, str(kept), DOCS)


@contextmanager
def fails_no_run(said: str) -> Iterator[None]:
    """What only shows a run must not fail it."""
    try:
        yield
    except Exception as err:
        log.warning("%s: %s", said, err)


def mlflow_address() -> str:
    """The address of MLflow's server; empty where there is none."""
    address = os.environ.get("HMS_MLFLOW_URL") or os.environ.get("MLFLOW_TRACKING_URI", "")
    return address if address.startswith("http") else ""


def _link(
    paths: Paths, mlflow_run: str | None, key: str, file: str, about: str, named: str
) -> None:
    """Link to a run's page or file on MLflow's server, or return ``named`` if there is none."""
    if mlflow_run and mlflow_address():
        page, text = _mlflow_page(paths, mlflow_run, file), about if file else "MLflow"
        create_link_artifact(link=page, link_text=text, key=key, description=about)
    else:
        create_markdown_artifact(markdown=named, key=key)


def _mlflow_page(paths: Paths, run: str, file: str) -> str:
    from hms_pipeline.tracking.pages import run_page
    from hms_pipeline.tracking.store import open_client

    experiment = open_client(paths).get_run(run).info.experiment_id
    return run_page(mlflow_address(), experiment, run, file)


def show_file(
    paths: Paths, mlflow_run: str | None, key: str, file: Path, inside: str, about: str
) -> None:
    """Link to a file that MLflow's server shows, or name the file where there is no server."""
    named = f"{about}: open `{file.absolute()}`."
    _link(paths, mlflow_run, key, f"{inside}/{file.name}", about, named)


def show_report(paths: Paths, mlflow_run: str | None) -> None:
    """Write the retrain's report and link to it. If it cannot be written, the run goes on."""
    if not (paths.ensemble / "metrics.json").is_file():
        return
    with fails_no_run("No report of the retrain"):
        from hms_pipeline.report.retrain import write_retrain_report
        from hms_pipeline.tracking.store import open_to_write

        report = write_retrain_report(paths, load_params(paths.params))
        if mlflow_run:
            open_to_write(paths).log_artifact(mlflow_run, str(report), "report")
        show_file(paths, mlflow_run, "retrain-report", report, "report", "This retrain on one page")


def verdict(registration: dict[str, Any]) -> str:
    """The gate's verdict on the ensemble, and on the student where there is one, as Markdown."""
    lines: list[str] = []
    for part in filter(None, (registration, registration.get("student"))):
        named = f"{part['model']} version {part['version']}" if part["version"] else part["model"]
        lines += [f"## {named}: {part['verdict']}", *(f"- {reason}" for reason in part["reasons"])]
        lines += ["", f"Champion: version {part['champion']}." if part.get("champion") else "", ""]
    return "\n".join(lines)


def read_registration(paths: Paths) -> dict[str, Any]:
    """Read what the stage `register` wrote; empty if that is missing or damaged."""
    try:
        return read_sealed(paths.registration, "hms register")
    except (InputError, OSError):
        return {}
