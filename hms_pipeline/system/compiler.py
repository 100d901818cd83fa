"""Networks compiled for the GPU: once on a machine, for all processes and nights; or not at all.

What PyTorch's compiler makes lies in the folder ``TORCHINDUCTOR_CACHE_DIR``, which the command line
sets to ``artifacts/.compiled``. ``HMS_COMPILE=off`` compiles nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch

from .files import hash_json
from .locks import locked

log = logging.getLogger(__name__)

T = TypeVar("T")
CACHE = "TORCHINDUCTOR_CACHE_DIR"
SWITCH = "HMS_COMPILE"
LONGEST_S = 3600.0  # longest time that one process waits for another's compilation
COMPILER = ("torch._dynamo", "torch._dynamo.utils")

_failed: set[str] = set()  # what this process need not try again
_building = threading.RLock()  # one thread at a time hides the compiler


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


@contextmanager
def without_compiler() -> Iterator[None]:
    """Import and build networks without loading PyTorch's compiler: 140 MB, more than a second.

    When timm is imported, it marks a function that the compiler must leave as it is, and
    torchvision imports a function that asks whether there is a compiler. While the block runs, an
    empty module answers both: the function stays unmarked, and the question is asked when somebody
    calls it. A compiler that is loaded already stays. Threads take turns; nothing may compile then.
    """
    with _building:
        if COMPILER[0] in sys.modules:
            yield
            return
        empty, utils = (ModuleType(name) for name in COMPILER)
        vars(empty)["disable"] = lambda function=None, *_, **__: function or (lambda given: given)
        vars(utils)["is_compile_supported"] = _is_compile_supported
        sys.modules.update({empty.__name__: empty, utils.__name__: utils})
        try:
            yield
        finally:
            for name in COMPILER:
                del sys.modules[name]


def _is_compile_supported(device: Any) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device)
