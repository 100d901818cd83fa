"""The processes that hold the model, as the server sees them.

They are apart, so that what the server reads, checks and refuses takes no time of theirs. This
module imports neither MLflow nor a model, which a server needs not hold.
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import Any

from ...system.errors import InputError
from ...system.processes import spawned
from .bodies import Limits, RefusedError

log = logging.getLogger(__name__)
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

    Each is a pool of its own, so that one that dies takes no other with it.

    Parameters
    ----------
    folder : Path
        The verified model's.
    n : int
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._folder = folder
        self._pools = [spawned(1) for _ in range(n)]
        self._idle: Queue[ProcessPoolExecutor] = Queue()
        for pool in self._pools:
            self._idle.put(pool)
        self._hash = ""  # the loaded model's

    def load(self, n_bytes: int) -> tuple[str, Limits]:
        """Load the model in each; its hash, and the limits of a request.

        Parameters
        ----------
        n_bytes : int
            Of a body.

        Raises
        ------
        InputError
            A process ended, or cannot load the model.
        """
        calls = [pool.submit(_call, SCORER, "load", self._folder, n_bytes) for pool in self._pools]
        try:
            self._hash, limits = [call.result() for call in calls].pop()
        except BrokenProcessPool:
            raise InputError(
                f"hms serve needs {len(calls)} processes that hold the model, but one of them"
                " ended, probably for want of memory. Give fewer --workers, or free memory."
            ) from None
        return self._hash, limits

    def answer(self, kind: str, body: bytearray) -> Scored:
        """What a checked body gets; waits for it.

        Raises
        ------
        RefusedError
        """
        pool = self._idle.get()
        try:
            call = pool.submit(_call, SCORER, "answer", self._folder, self._hash, kind, body)
            return call.result()
        except RefusedError:
            raise
        except BrokenProcessPool:
            pool = spawned(1)
            raise _failed("its process ended, and is started again") from None
        except Exception as err:  # a process that was started again could not load the model
            log.error("The model could not be used: %s", err)
            raise _failed("it could not be loaded again. Start the server again") from None
        finally:
            self._idle.put(pool)


def _failed(why: str) -> RefusedError:
    return RefusedError(500, "failure", f"The model failed: {why}.")


def _call(module: str, function: str, *arguments: Any) -> Any:
    return getattr(import_module(module), function)(*arguments)
