"""Networks without weights, built without what only training needs.

timm and torchvision import PyTorch's compiler for two decorators, and drawing weights that are
thrown away imports SymPy: together 110 MB, 70 MB of Triton's library and three seconds of a core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

COMPILER = "torch._dynamo"


@contextmanager
def blank_weights() -> Iterator[None]:
    """Networks that are built meanwhile hold no numbers, and nothing of the compiler is imported.

    Examples
    --------
    >>> with blank_weights():
    ...     nn.Linear(2, 1).weight.is_meta
    True
    """
    with torch.device("meta"), _NoDrawing(), _compiler_deferred():
        yield


class _NoDrawing(TorchFunctionMode):
    """Leaves new weights as they are: nothing reads them."""

    def __torch_function__(
        self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class _StandIn(ModuleType):
    """A module that is imported when anything but the attributes that it was given is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and (name != "__path__" or self.__name__ != COMPILER):
            raise AttributeError(name)  # what Python itself looks for in modules
        _remove_stand_ins()
        import torch._dynamo.utils  # noqa: F401 - puts both real ones into sys.modules

        return getattr(sys.modules[self.__name__], name)


@contextmanager
def _compiler_deferred() -> Iterator[None]:
    if COMPILER not in sys.modules:
        compiler, utils = _StandIn(COMPILER), _StandIn(f"{COMPILER}.utils")
        compiler.__dict__["disable"] = _left_as_it_is
        utils.__dict__["is_compile_supported"] = _is_compile_supported
        sys.modules |= {module.__name__: module for module in (compiler, utils)}
    try:
        yield
    finally:
        _remove_stand_ins()


def _remove_stand_ins() -> None:
    for name in (COMPILER, f"{COMPILER}.utils"):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


def _left_as_it_is(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
    """Stands for ``disable``: code that nothing compiles need not be kept from the compiler."""
    return function


def _is_compile_supported(device_type: str) -> bool:
    """The compiler's own answer, which torchvision asks for when it runs, not when it is loaded."""
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)
