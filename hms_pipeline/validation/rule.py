"""What a cleaning rule is, and the catalogue of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..catalogue import Catalogue
from ..config.validation import ValidationParams
from .evidence import Evidence


@dataclass(frozen=True)
class Finding:
    """One item that a rule removes.

    Parameters
    ----------
    kind : str
        ``"window"``, ``"eeg"`` or ``"spectrogram"``. A file takes its windows with it.
    key : int
        The file's id; for a window its row in train.csv, counted from 0.
    detail : str
        What was found.
    """

    kind: str
    key: int
    detail: str


@dataclass(frozen=True)
class Rule:
    """A cleaning rule.

    Parameters
    ----------
    name : str
        As it stands in quarantine.parquet.
    about : str
        One line for people: what is wrong with what it removes.
    order : int
        Rules of a lower order run first; their removals are known to later ones.
    find : callable
        ``(Evidence, ValidationParams) -> iterable of Finding``.
    """

    name: str
    about: str
    order: int
    find: Callable[[Evidence, ValidationParams], Iterable[Finding]]


RULES: Catalogue[Rule] = Catalogue("rule")


def rule(name: str, about: str, *, order: int = 0) -> Callable:
    """Decorator that adds a function to ``RULES``."""

    def add(find: Callable[[Evidence, ValidationParams], Iterable[Finding]]) -> Callable:
        RULES.register(name)(Rule(name, about, order, find))
        return find

    return add


def rows_where(mask: np.ndarray) -> list[int]:
    """Row numbers where a mask is true."""
    return [int(row) for row in np.flatnonzero(np.asarray(mask, bool))]
