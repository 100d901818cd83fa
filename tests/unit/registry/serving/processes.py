"""What a process that holds a model may do, for tests of the server's ``Scorers``."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from hms_pipeline.registry.serving.bodies import RefusedError


def answer(folder: Path, kind: str, body: bytearray) -> int:
    """Refuse, die, or answer with the process' number."""
    if body == b"refuse":
        raise RefusedError(400, "model", "Row 0 is bad.", 1)
    if body == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def load(folder: Path, n_bytes: int) -> None:
    """End, as where memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)
