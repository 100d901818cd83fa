"""The state after an epoch, in one atomic file, from which a killed training continues."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..system.files import hash_file
from .state import TrainState

log = logging.getLogger(__name__)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises
    ------
    OSError
        The disk is full or fails. What safetensors raises names the cause only in its text.
    """
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as err:
        code = re.search(r"os error (\d+)", str(err))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


class Checkpoint:
    """The checkpoint of one training.

    It holds no random state, because every epoch is seeded by its own position.

    Parameters
    ----------
    folder : Path
        Named by the hash of the training's inputs, so that another recipe never resumes it. Its
        file is named by the hash of its bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future | None = None
        self._pinned: dict[str, Tensor] = {}

    def save(self, state: TrainState, history: list[dict]) -> None:
        """Keep the state after the epochs in ``history``.

        A GPU goes on with the next epoch while its copy is written.
        """
        self.wait()
        live = state.tensors()
        metadata = {"history": json.dumps(history)}
        if any(tensor.is_cuda for tensor in live.values()):
            copies = self._copy_to_host(live)
            self._writing = self._writer.submit(self._write, copies, metadata)
        else:
            self._write({k: v.detach().contiguous() for k, v in live.items()}, metadata)

    def _copy_to_host(self, live: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copies in pinned memory, which is taken once: hundreds of tensors in one go."""
        if not self._pinned:
            self._pinned = {
                name: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                for name, tensor in live.items()
            }
        for name, tensor in live.items():
            self._pinned[name].copy_(tensor.detach(), non_blocking=True)
        torch.cuda.current_stream(next(t.device for t in live.values() if t.is_cuda)).synchronize()
        return self._pinned

    def _write(self, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        # Straight to the file: serialising in memory first holds up the other threads.
        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = list(self.folder.iterdir())
        temporary = self.folder / ".tmp"
        write_tensors(temporary, tensors, metadata)
        temporary.rename(self.folder / f"{hash_file(temporary)}.safetensors")
        for path in earlier:
            path.unlink(missing_ok=True)

    def wait(self) -> None:
        """Return when the last checkpoint is on disk; raises what its writing raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def load(self, state: TrainState) -> list[dict]:
        """Load the kept state and return its history; warn of an unreadable one and drop it."""
        found = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        if not found:
            return []
        try:
            if hash_file(found[-1]) != found[-1].stem:
                raise ValueError("its bytes are not those that were written")
            with safe_open(found[-1], "pt") as stored:
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
