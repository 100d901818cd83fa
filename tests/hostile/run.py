"""Score such a folder in every way, and watch the memory of all that takes part."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from hms_pipeline.cli.pages import PageWriter
from hms_pipeline.data import reading
from hms_pipeline.data.reading import ReadingProcess
from hms_pipeline.scoring.batch import BatchSummary, score_inputs
from hms_pipeline.scoring.inbox import score_inbox
from hms_pipeline.scoring.recording import WindowScorer
from hms_pipeline.system.worker import Worker

from ..scorer import Scorer, scoring

Progress = Callable[[int, int], None]


def memory_mb() -> float:
    """Resident memory of this process and the one that reads."""
    this = psutil.Process()
    everyone = [this, *this.children(recursive=True)]
    total = 0.0
    for process in everyone:
        try:
            total += process.memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            continue
    return total


class Watch:
    """Called with progress; keeps the most memory up to so many inputs, and in all."""

    def __init__(self, after: int) -> None:
        self.after, self.early_mb, self.late_mb = after, 0.0, 0.0
        self._done, self._stopped = 0, threading.Event()

    def __call__(self, done: int, total: int) -> None:
        self._done = done

    def __enter__(self) -> Watch:
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _look(self) -> None:
        while not self._stopped.wait(0.03):
            now = memory_mb()
            if self._done <= self.after:
                self.early_mb = max(self.early_mb, now)
            self.late_mb = max(self.late_mb, now)


@contextmanager
def misbehaving_reader() -> Iterator[ReadingProcess]:
    """A process of reading in which files named so crash, exit, take memory or raise."""
    with ReadingProcess() as reader:
        reader._worker = Worker("tests.misbehaving", reading.MEMORY_BYTES)
        try:
            yield reader
        finally:
            reader._worker.close()


def by_score(
    folder: Path, out: Path, progress: Progress, scorer: WindowScorer | None = None
) -> BatchSummary:
    """As ``hms score FOLDER --report`` does."""
    writer = PageWriter(out / "pages", out / "marks", {"version": 1})
    scorer, settings = scorer or Scorer(), scoring()
    with misbehaving_reader() as reader:
        summary = score_inputs(
            scorer, [folder], out / "scores.csv", settings, on_recording=writer,
            is_reported=writer.is_done, reader=reader, progress=progress,
        )  # fmt: skip
    writer.write_folder(summary, scorer, [folder], settings.notable)
    return summary


def by_inbox(
    folder: Path, out: Path, progress: Progress, scorer: WindowScorer | None = None
) -> BatchSummary:
    """As the flow ``score`` does."""
    with misbehaving_reader() as reader:
        return score_inbox(
            scorer or Scorer(), folder, out / "tables", scoring(settle_s=0),
            reader=reader, progress=progress,
        )  # fmt: skip
