"""Networks compiled for the GPU: once on a machine, for all processes and nights.

What PyTorch's compiler makes lies in the folder ``TORCHINDUCTOR_CACHE_DIR``, which the command line
sets to ``artifacts/.compiled``. ``HMS_COMPILE=off`` compiles nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from .files import hash_json
from .locks import locked

log = logging.getLogger(__name__)

T = TypeVar("T")
CACHE = "TORCHINDUCTOR_CACHE_DIR"
SWITCH = "HMS_COMPILE"
LONGEST_S = 3600.0  # longest time that one process waits for another's compilation

_failed: set[str] = set()  # what this process need not try again


def compiled(what: object, make: Callable[[], T]) -> T | None:
    """Call a function that runs a network through ``torch.compile`` for the first time.

    If several processes need the same network compiled, the first compiles it. The others wait and
    then read its result from the disk.

    Parameters
    ----------
    what : object
        Everything that decides the compiled code; its ``repr`` names it.
    make : callable

    Returns
    -------
    object or None
        What ``make`` returned. None if compilation is switched off or fails; one warning says so.

    Raises
    ------
    OutOfMemoryError
        ``make`` raised it.
    """
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    key = hash_json([repr(what), torch.__version__, card])[:24]
    if os.environ.get(SWITCH) == "off" or key in _failed:
        return None
    try:
        with _first(key):
            return make()
    except torch.OutOfMemoryError:
        raise
    except Exception as err:  # the compiler, a C compiler and drivers have errors of their own
        if not _failed:
            said = " ".join(str(err).split())[:300]
            log.warning(
                "Networks are not compiled (%s: %s): the work goes on without, a third slower."
                " Where a C compiler is there, remove %s and try again.",
                type(err).__name__, said, os.environ.get(CACHE, "PyTorch's cache"),
            )  # fmt: skip
        _failed.add(key)
        return None


@contextmanager
def _first(key: str) -> Iterator[None]:
    """Wait while another process compiles the same; what is compiled already needs no turn."""
    if CACHE not in os.environ:
        yield
        return
    done = Path(os.environ[CACHE]) / f"{key}.done"
    if not done.exists():
        with locked(done.with_suffix(".lock"), LONGEST_S):
            if not done.exists():
                yield
                done.touch()
                return
    done.touch()  # tells `hms gc` that it is in use
    yield
