"""What a cleaning rule is, and the catalogue of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

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
class Limit:
    """The largest tolerated value of one of a window's measures.

    Parameters
    ----------
    column : str
        Of ``Evidence.windows``.
    most : callable
        ``(ValidationParams) -> float``.
    what : str
        The measure in words, for the Data Docs; ``{0.section.key}`` is filled in from the
        thresholds.
    """

    column: str
    most: Callable[[ValidationParams], float]
    what: str


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
    limits : dict of str to Limit
        Of a rule made by ``limit_rule``, by the names of their expectations.
    """

    name: str
    about: str
    order: int
    find: Callable[[Evidence, ValidationParams], Iterable[Finding]]
    limits: Mapping[str, Limit] = field(default_factory=dict)


RULES: Catalogue[Rule] = Catalogue("rule")


def rule(name: str, about: str, *, order: int = 0) -> Callable:
    """Decorator that adds a function to ``RULES``."""
    return RULES.register_made(lambda find: Rule(name, about, order, find), name)


def limit_rule(name: str, about: str, **limits: Limit) -> Callable:
    """Decorator that adds a rule against windows of which a measure is beyond its limit.

    It decorates a function that says what was found: ``(ValidationParams, *measures) -> str``,
    with the window's measures in the order of the limits. Each limit becomes an expectation of
    the suite ``windows``, too.
    """

    def find(
        detail: Callable[..., str], evidence: Evidence, params: ValidationParams
    ) -> Iterator[Finding]:
        measures = [evidence.windows[limit.column].to_numpy() for limit in limits.values()]
        most = [limit.most(params) for limit in limits.values()]
        beyond = [values > bound for values, bound in zip(measures, most, strict=True)]
        for row in rows_where(np.any(beyond, axis=0)):
            yield Finding("window", row, detail(params, *(values[row] for values in measures)))

    return RULES.register_made(
        lambda detail: Rule(name, about, 0, partial(find, detail), limits), name
    )


def rows_where(mask: np.ndarray) -> list[int]:
    """Row numbers where a mask is true."""
    return [int(row) for row in np.flatnonzero(np.asarray(mask, bool))]
