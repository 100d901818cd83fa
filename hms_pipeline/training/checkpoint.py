"""Where a killed training goes on: everything at the end of an epoch, in one atomic file."""

from __future__ import annotations

import json
import logging
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

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
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future | None = None

    def save(self, state: TrainState, history: list[dict]) -> None:
        """Keep the state after the epochs in ``history``.

        A GPU goes on with the next epoch while its copy is written.
        """
        self.wait()
        live = state.tensors()
        tensors = {k: v.detach().cpu().contiguous() for k, v in live.items()}
        metadata = {"history": json.dumps(history)}
        if any(tensor.is_cuda for tensor in live.values()):
            self._writing = self._writer.submit(self._write, tensors, metadata)
        else:
            self._write(tensors, metadata)

    def _write(self, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        stored = save(tensors, metadata)
        with atomic(self.path) as temporary:
            temporary.write_bytes(stored)

    def wait(self) -> None:
        """Return when the last checkpoint is on disk; raises what its writing raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

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
        self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
