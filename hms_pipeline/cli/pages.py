"""HTML reports and annotations of what `hms score` scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..inference.batch import BatchSummary
from ..inference.recording import RecordingScores, write_annotations
from ..report.folder import write_folder_report
from ..report.recording import write_recording_report
from .app import out

FOLDER_PAGE = "index.html"


def recording_writer(
    report: Path | None, annotations: Path | None, model: Mapping[str, Any]
) -> Callable[[RecordingScores], None] | None:
    """A function that writes one recording's page and annotations, or None where none is asked.

    Parameters
    ----------
    report, annotations : Path or None
        Folders.
    model : mapping
        What the page says of the model.
    """
    if report is None and annotations is None:
        return None

    def write(scores: RecordingScores) -> None:
        if report is not None:
            page = write_recording_report(
                report / f"{scores.id}.html",
                timeline=scores.timeline,
                model=model,
                members=scores.members,
                notable=scores.notable,
                spectrogram=scores.spectrogram,
                spectrogram_times_s=scores.spectrogram_times_s,
                duration_s=scores.duration_s,
                hop_s=scores.hop_s,
                warnings=scores.warnings,
                source=scores.source,
                identifier=scores.id,
            )
            out.print(f"Report: {page}")
        if annotations is not None:
            annotations.mkdir(parents=True, exist_ok=True)
            path = write_annotations(scores, annotations / f"{scores.id}_annotations.txt")
            out.print(f"Annotations: {path}")

    return write


def write_folder_page(report: Path, summary: BatchSummary, model: Mapping[str, Any]) -> None:
    """The page over everything that was scored."""
    read = pd.read_parquet if summary.out.suffix == ".parquet" else pd.read_csv
    page = write_folder_report(
        report / FOLDER_PAGE, scores=read(summary.out), model=model, failed=summary.failed
    )
    out.print(f"Report of all: {page}")
