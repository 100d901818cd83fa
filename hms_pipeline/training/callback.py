"""The callback through which a tracker follows a training, which itself knows no tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class TrainingCallback:
    """Called by ``training.stage.run``, in this order; an error ends the sequence.

    This one does nothing; one that listens derives from it.
    """

    def on_start(self, info: dict[str, Any]) -> None:
        """Member, fold, device, rows, parameters and input hashes."""

    def on_epoch(self, step: int, metrics: dict[str, float]) -> None:
        """After each epoch, counted from 1 over all stages; also for epochs of a resumed run."""

    def on_end(self, manifest: dict[str, Any], folder: Path) -> None:
        """The outputs are complete in ``folder``."""

    def on_error(self, err: BaseException) -> None:
        """Training ended without outputs; the error is raised again afterwards."""
