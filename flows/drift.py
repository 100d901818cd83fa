"""The flow `drift`: compares what was scored with the training reference. It never trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.events import emit_event
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed, State

from hms_pipeline.config import Paths, load_params
from hms_pipeline.config.paths import MODELS
from hms_pipeline.system.errors import InputError

from . import artifacts, notify
from .dashboard import show_dashboard
from .environment import paths_of, prepare, project_root

if TYPE_CHECKING:
    from hms_pipeline.scoring.drift import DriftReport

EVENT = "hms.drift.warning"
DAY_S = 86400.0


@flow(name="drift", on_failure=[notify.on_failure], on_crashed=[notify.on_failure])
def drift(scores: str = "scores", days: float | None = None) -> State:
    """Compare the inputs and predictions of what the champion scored with its training's.

    Args:
        scores: What the flow score wrote, below the project.
        days: Only what was scored in the last so many days; none: all.
    """
    base = project_root()
    prepare(base)
    paths = paths_of(base)
    try:
        params = load_params(paths.params)
        report = compare_scores(paths, base / scores, days)
    except InputError as err:
        return Failed(name="Refused", message=str(err))
    show(paths, report, base / "reports" / "drift.png")
    if report.verdict in ("moved", "drifted"):
        warn(report, params.retrain.notify)
    get_run_logger().info(report.sentence)
    return Completed(message=report.sentence)


def compare_scores(paths: Paths, scores: Path, days: float | None) -> DriftReport:
    """Compare what the champion scored with its own training reference."""
    from hms_pipeline.inference.bundle import read_info
    from hms_pipeline.inference.reference import REFERENCE_FILE
    from hms_pipeline.registry.api import bundle_of
    from hms_pipeline.scoring.drift import compare
    from hms_pipeline.scoring.inbox import read_inbox_scores

    _, bundle = bundle_of(paths)
    reference = bundle / REFERENCE_FILE
    if not reference.exists():
        raise InputError(
            f"Drift needs {REFERENCE_FILE} in the champion's bundle, but it has none."
            " Register the model again."
        )
    scored = read_inbox_scores(
        scores,
        None if days is None else days * DAY_S,
        content_hash=read_info(bundle)["content_hash"],
    )
    return compare(
        scored, json.loads(reference.read_text(encoding="utf-8")), load_params(paths.params).drift
    )


def show(paths: Paths, report: DriftReport, plot: Path) -> None:
    """A table artifact of all quantities and a plot of the six most moved ones.

    In MLflow one run named "drift" gathers the indices of every check, so that its page draws
    them over the days; the plot lies beside it.
    """
    table = report.table.round(4).astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    if rows:
        create_table_artifact(table=rows, key="drift", description=report.sentence)
        draw(report, plot)
        run = keep_drift(paths, report, plot)
        artifacts.show_file(paths, run, "drift-plot", plot, "plot", "Training against scored")
        show_dashboard(paths)


def keep_drift(paths: Paths, report: DriftReport, plot: Path) -> str | None:
    """Log the indices and the plot; the run's id, or None where MLflow does not answer."""
    from hms_pipeline.tracking.drift import log_drift

    indices = report.table.dropna(subset="psi").set_index("quantity")["psi"].to_dict()
    try:
        return log_drift(paths, indices, plot)
    except Exception as err:
        get_run_logger().warning("Drift is not in MLflow: %s", err)
        return None


def draw(report: DriftReport, path: Path, n_shown: int = 6) -> None:
    """Shares of the most moved quantities, in training and as scored."""
    from matplotlib.figure import Figure

    names = list(report.table["quantity"][:n_shown])
    figure = Figure(figsize=(10, 2.4 * ((len(names) + 1) // 2)), layout="constrained")
    axes = figure.subplots((len(names) + 1) // 2, 2, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        _, expected, actual = report.shares[name]
        bins = range(len(expected))
        axis.step(bins, expected, where="mid", label="training")
        axis.step(bins, actual, where="mid", label="scored")
        axis.set(title=name, xlabel="bin of the training's values", ylabel="share")
    axes[0].legend()
    for axis in axes[len(names) :]:
        axis.remove()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def warn(report: DriftReport, block: str | None) -> None:
    """Emit a warning event, for automations, and send a message where that is configured."""
    emit_event(
        event=EVENT,
        resource={"prefect.resource.id": "hms.drift", "prefect.resource.name": MODELS[0]},
        payload={"verdict": report.verdict, "sentence": report.sentence},
    )
    notify.send(block, f"Drift: {report.verdict}", report.sentence)
