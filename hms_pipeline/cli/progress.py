"""Progress of long work: a bar, and the speed of a training's epochs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import progress as rich_progress
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from ..system.progress import Progress
from ..training.callback import TrainingCallback
from .app import notes

LOG_EVERY_S = 15.0


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Draw a bar on a terminal, a line now and then where output is a log.

    Yields
    ------
    callable
        ``progress(done, total)``, safe to call often.
    """
    if not notes.is_terminal:
        yield _log_lines(what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with rich_progress.Progress(
        *columns, TimeRemainingColumn(), console=notes, transient=True
    ) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _log_lines(what: str) -> Progress:
    last = time.monotonic()

    def log(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_EVERY_S:
            last = now
            notes.print(f"{what}: {done}/{total}")

    return log


class EpochClock(TrainingCallback):
    """Measures a training's epochs, and passes on what it hears to another callback."""

    def __init__(self, inner: TrainingCallback) -> None:
        self._inner = inner
        self._batch_size = 0
        self._marks: list[tuple[float, float]] = []  # seconds, steps done
        self._trains = False

    def step(self, progress: Progress, done: int, total: int) -> None:
        """Pass on progress; the first call tells trained epochs from those of a killed run."""
        self._trains = True
        progress(done, total)

    def on_start(self, info: dict[str, Any]) -> None:
        """Note the batch size."""
        self._batch_size = info["batch_size"]
        self._inner.on_start(info)

    def on_epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Note when the epoch ended."""
        if self._trains:
            self._marks.append((time.monotonic(), metrics["step"]))
        self._inner.on_epoch(step, metrics)

    def on_end(self, manifest: dict[str, Any], folder: Path) -> None:
        """Pass the finished fold on."""
        self._inner.on_end(manifest, folder)

    def on_error(self, err: BaseException) -> None:
        """Pass the error on."""
        self._inner.on_error(err)

    @property
    def sentence(self) -> str | None:
        """Speed from the second epoch on, when kernels are chosen and caches are warm."""
        if len(self._marks) < 2:
            return None
        (begin, first), (end, last) = self._marks[0], self._marks[-1]
        rate = (last - first) * self._batch_size / max(end - begin, 1e-9)
        return (
            f"Epochs after the first: {end - begin:.1f} s, {rate:.0f} windows/s, evaluation and"
            " checkpoints included"
        )
