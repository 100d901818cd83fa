"""Where a killed training goes on: everything at the end of an epoch, in one atomic file."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..config.files import atomic
from .state import TrainState

log = logging.getLogger(__name__)


class Checkpoint:
    """The checkpoint of one training.

    Random numbers need no place in it: every epoch's are seeded by its own position.

    Parameters
    ----------
    folder : Path
        Named by the hash of the training's inputs, so that another recipe never resumes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "checkpoint.safetensors"

    def save(self, state: TrainState, history: list[dict]) -> None:
        """Keep the state after the epochs in ``history``."""
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.tensors().items()}
        with atomic(self.path) as temporary:
            save_file(tensors, temporary, metadata={"history": json.dumps(history)})

    def load(self, state: TrainState) -> list[dict]:
        """Put the kept state back and give its history; an unreadable one is said and dropped."""
        if not self.path.exists():
            return []
        try:
            with safe_open(self.path, "pt") as stored:
                history = json.loads(stored.metadata()["history"])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            state.load(tensors)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as err:
            log.warning("The checkpoint cannot be read (%s): training starts anew.", err)
            return []
        return history

    def remove(self) -> None:
        """Delete it, once the outputs are complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
