"""The processes that hold the model, as the server sees them.

They are apart, so that what the server reads, checks and refuses takes no time of theirs. This
module imports neither MLflow nor a model, which a server needs not hold.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...system.errors import InputError
from ...system.processes import spawned
from .bodies import Limits, RefusedError

SCORER = f"{__package__}.scorer"


@dataclass(frozen=True)
class Scored:
    """An answer, and what is counted of it.

    Parameters
    ----------
    content : bytes
        JSON.
    windows : int
    left_out : Counter
        Member → windows that it was left out of.
    """

    content: bytes
    windows: int
    left_out: Counter[str]


class Scorers:
    """Processes that each hold the whole ensemble; they end with this one.

    Parameters
    ----------
    folder : Path
        The verified model's.
    n : int
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._folder, self._n = folder, n
        self._pool = spawned(n)

    def load(self, n_bytes: int) -> tuple[str, Limits]:
        """Load the model in each; its hash, and the limits of a request.

        Parameters
        ----------
        n_bytes : int
            Of a body.

        Raises
        ------
        InputError
            A process ended.
        """
        calls = [
            self._pool.submit(_call, SCORER, "load", self._folder, n_bytes) for _ in range(self._n)
        ]
        try:
            return [call.result() for call in calls].pop()
        except BrokenProcessPool:
            raise InputError(
                f"hms serve needs {self._n} processes that hold the model, but one of them ended,"
                " probably for want of memory. Give fewer --workers, or free memory."
            ) from None

    def answer(self, kind: str, body: bytearray) -> Scored:
        """What a checked body gets; waits for it.

        Raises
        ------
        RefusedError
        """
        pool = self._pool
        try:
            return pool.submit(_call, SCORER, "answer", self._folder, kind, body).result()
        except BrokenProcessPool:
            if pool is self._pool:  # another request has not replaced it yet
                self._pool = spawned(self._n)
            raise RefusedError(
                500, "failure", "The model failed: its process ended, and is started anew."
            ) from None


def _call(module: str, function: str, *arguments: Any) -> Any:
    return getattr(import_module(module), function)(*arguments)
