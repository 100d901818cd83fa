"""HTML reports and annotations of what `hms score` scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..data.window import Window
from ..report.folder import write_folder_report
from ..report.recording import write_recording_report
from ..scoring.batch import BatchSummary
from ..scoring.explain import Explanation
from ..scoring.notable import notable_in_folder
from ..scoring.recording import RecordingScores, WindowScorer, write_annotations
from .app import out

FOLDER_PAGE = "index.html"
Explain = Callable[[Window], Explanation]


@dataclass(frozen=True)
class PageWriter:
    """Writes pages and annotations of recordings, and the page over all of them.

    Parameters
    ----------
    report, annotations : Path or None
        Folders; None where none is asked for.
    model : mapping
        What the page says of the model.
    explain : callable or None
        Window → an explanation of its answer; None without ``--explain``.
    """

    report: Path | None
    annotations: Path | None
    model: Mapping[str, Any]
    explain: Explain | None = None

    def __call__(self, scores: RecordingScores) -> None:
        """Write the page and the annotations of one recording."""
        page, marks = self._page(scores.id), self._marks(scores.id)
        if page:
            why = [self.explain(n.window) for n in scores.notable] if self.explain else ()
            write_recording_report(page, scores, self.model, explained=why, index=FOLDER_PAGE)
            out.print(f"Report: {page}")
        if marks:
            marks.parent.mkdir(parents=True, exist_ok=True)
            out.print(f"Annotations: {write_annotations(scores, marks)}")

    def is_done(self, recording: str) -> bool:
        """Whether a recording, by its id, has all that is asked for."""
        asked = (self._page(recording), self._marks(recording))
        return all(path is None or path.is_file() for path in asked)

    def _page(self, recording: str) -> Path | None:
        return self.report and self.report / f"{recording}.html"

    def _marks(self, recording: str) -> Path | None:
        return self.annotations and self.annotations / f"{recording}_annotations.txt"

    def write_folder(
        self, summary: BatchSummary, predictor: WindowScorer, inputs: Sequence[Path], most: int
    ) -> None:
        """The page over all, if pages are asked for; ``most`` of the single windows are drawn."""
        if self.report is None:
            return
        read = pd.read_parquet if summary.out.suffix == ".parquet" else pd.read_csv
        scores = read(summary.out).fillna({"warnings": ""})
        notable = notable_in_folder(predictor, inputs, scores, most)
        why = {n: self.explain(w.window) for n, w in notable.items()} if self.explain else None
        page = write_folder_report(
            self.report / FOLDER_PAGE, scores=scores, model=self.model, members=predictor.members,
            notable=notable, explained=why, failed=summary.failed,
        )  # fmt: skip
        out.print(f"Report of all: {page}")
