"""The page one looks at: KL over the retrains and drift over the days, drawn on an artifact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.artifacts import create_markdown_artifact

from hms_pipeline.config import Paths, load_params

from .artifacts import fails_no_run

N_CURVES = 6  # of drift: the quantities that moved most at the last check
COLUMNS = ("version", "aliases", "recipe", "kl", "interval", "verdict")


def show_dashboard(paths: Paths) -> None:
    """Show both on one artifact; a store that does not answer fails no run."""
    parts: list[str] = []
    for section in (retrains, drift):
        with fails_no_run(f"The dashboard is without its {section.__name__}"):
            parts += section(paths)
    if parts:
        create_markdown_artifact(
            markdown="\n\n".join(parts),
            key="dashboard",
            description="KL over the retrains, drift over the days",
        )


def retrains(paths: Paths) -> list[str]:
    """KL of every version with its interval, and what the gate said; nothing without a version."""
    from hms_pipeline.cli.tables import markdown_table
    from hms_pipeline.registry.api import list_versions
    from hms_pipeline.report.trends import plot_versions

    rows = list_versions(paths)
    if not rows:
        return []
    table = markdown_table([{name: row[name] for name in COLUMNS} for row in rows])
    picture = _picture("KL of every version", lambda path: plot_versions(path, rows))
    return ["## KL over the retrains", picture, table]


def drift(paths: Paths) -> list[str]:
    """Stability indices of the most moved quantities; nothing before the first check."""
    from hms_pipeline.report.trends import plot_drift
    from hms_pipeline.tracking.drift import read_drift

    curves = read_drift(paths)
    if not curves:
        return []
    last = max(day for curve in curves.values() for day in curve)
    moved = sorted(curves, key=lambda name: -curves[name].get(last, 0.0))[:N_CURVES]
    shown = {name: curves[name] for name in moved}
    warning = load_params(paths.params).drift.psi_warning
    picture = _picture("Stability indices", lambda path: plot_drift(path, shown, warning))
    return ["## Drift over the days", picture]


def _picture(name: str, draw: Callable[[Path], object]) -> str:
    """A picture inside the text: Prefect's page shows no file of another address."""
    from hms_pipeline.report.page import image_uri

    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return f"![{name}]({image_uri(path.read_bytes())})"
