"""Name → builder look-ups: one decorated definition adds an entry."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from .system.errors import InputError, brief

T = TypeVar("T")
F = TypeVar("F")


class Catalogue(Mapping[str, T], Generic[T]):
    """A look-up of builders by name, filled by decoration.

    Parameters
    ----------
    kind : str
        What the entries are, in error sentences ("view", "model").

    Examples
    --------
    >>> shapes = Catalogue("shape")
    >>> @shapes.register("square")
    ... def square(side): return side * side
    >>> shapes["square"](3)
    9
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds an entry under ``name``; a second one of that name is refused."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice. Rename one of them.")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise InputError(
                f"Unknown {self.kind} {brief(name)!r}. Choose one of {sorted(self._entries)}."
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def entry_maker(catalogue: Catalogue[T], make: Callable[[F], T], *names: str) -> Callable[[F], F]:
    """Decorator that adds ``make(function)`` under each name and keeps the function."""

    def add(function: F) -> F:
        for name in names:
            catalogue.register(name)(make(function))
        return function

    return add


def discover(package: str, path: list[str]) -> None:
    """Import every module of a package so that its decorated definitions register.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    path : list of str
        The package's ``__path__``.
    """
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
