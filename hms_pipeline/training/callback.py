"""The callback through which a tracker follows a training, which itself knows no tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class TrainingCallback(Protocol):
    """Called by ``training.stage.run``, in this order; an error ends the sequence."""

    def on_start(self, info: dict[str, Any]) -> None:
        """Member, fold, device, rows, parameters and input hashes."""

    def on_epoch(self, step: int, metrics: dict[str, float]) -> None:
        """After each epoch, counted from 1 over all stages; also for epochs of a resumed run."""

    def on_end(self, manifest: dict[str, Any], folder: Path) -> None:
        """The outputs are complete in ``folder``."""

    def on_error(self, err: BaseException) -> None:
        """Training ended without outputs; the error is raised again afterwards."""


class NoCallback:
    """Ignores everything."""

    def on_start(self, info: dict[str, Any]) -> None:
        """A fold's training starts."""

    def on_epoch(self, step: int, metrics: dict[str, float]) -> None:
        """An epoch ended."""

    def on_end(self, manifest: dict[str, Any], folder: Path) -> None:
        """The fold is finished and stored in ``folder``."""

    def on_error(self, err: BaseException) -> None:
        """The training failed."""
