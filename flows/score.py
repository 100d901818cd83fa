"""The flow `score`: scores what is new in an inbox folder with the champion, each file once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed, State

from hms_pipeline.config import Paths
from hms_pipeline.system.errors import InputError

from . import notify
from .environment import paths_of, prepare, project_root, run_folder
from .lock import exclusive


@flow(name="score", on_failure=[notify.on_failure], on_crashed=[notify.on_failure])
def score(inbox: str = "inbox", out: str = "scores") -> State:
    """Score every new file of the inbox folder with the champion.

    Args:
        inbox: Folder that recordings arrive in, below the project; made where it is missing.
        out: Folder of the results, below the project.
    """
    base = project_root()
    prepare(base)
    paths = paths_of(base)
    (base / inbox).mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(run_folder(base) / "score.lock", wait_s=0.0, what="scoring of an inbox"):
            summary = score_new(paths, base / inbox, base / out)
    except InputError as err:
        return Failed(name="Refused", message=str(err))
    if summary.failed:
        rows = [{"input": name, "reason": reason} for name, reason in summary.failed]
        create_table_artifact(table=rows, key="score-set-aside", description="Inputs set aside")
    message = f"{summary.n_scored} windows scored, {summary.n_failed} inputs set aside: {out}"
    get_run_logger().info(message)
    return Completed(message=message)


def score_new(paths: Paths, inbox: Path, out: Path):
    """Score the inbox with the champion; see ``scoring.inbox.score_inbox``."""
    from hms_pipeline.inference.reference import window_statistics
    from hms_pipeline.registry.scoring import open_predictor, scoring_settings
    from hms_pipeline.scoring.inbox import score_inbox

    log = get_run_logger()
    version, predictor = open_predictor(paths)
    log.info("Champion is version %s.", version)

    def progress(done: int, total: int) -> None:
        log.info("%d of %d new files", done, total)

    params, ignored = scoring_settings(paths, predictor.bundle.params.scoring)
    if ignored:
        log.warning("The champion's own values are used of: scoring.%s", ", scoring.".join(ignored))
    observe = partial(window_statistics, views=predictor.views)
    return score_inbox(predictor, inbox, out, params, observe=observe, progress=progress)
