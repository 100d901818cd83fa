"""What a cleaning rule is, and the catalogue of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..catalogue import Catalogue, entry_maker
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
        Of ``Evidence.windows``: the kind of file and one of ``measure.WINDOW_MEASURES``, such as
        ``"eeg_missing_share"``.
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
        On measures of windows, by the names of their expectations.
    """

    name: str
    about: str
    order: int
    find: Callable[[Evidence, ValidationParams], Iterable[Finding]]
    limits: Mapping[str, Limit] = field(default_factory=dict)


RULES: Catalogue[Rule] = Catalogue("rule")


def rule(name: str, about: str, *, order: int = 0, **limits: Limit) -> Callable:
    """Decorator that adds a rule to ``RULES``.

    Without limits the function is ``Rule.find``. With limits the rule removes each window of which
    a measure is beyond its limit, and the function says what was found:
    ``(ValidationParams, *measures) -> str``, the window's measures in the order of the limits. Each
    limit becomes an expectation of the suite ``windows``, too.
    """

    def make(function: Callable) -> Rule:
        find = partial(_beyond, function, limits) if limits else function
        return Rule(name, about, order, find, limits)

    return entry_maker(RULES, make, name)


def _beyond(
    detail: Callable[..., str],
    limits: Mapping[str, Limit],
    evidence: Evidence,
    params: ValidationParams,
) -> Iterator[Finding]:
    measures = [evidence.windows[limit.column].to_numpy() for limit in limits.values()]
    most = [limit.most(params) for limit in limits.values()]
    beyond = [values > bound for values, bound in zip(measures, most, strict=True)]
    for row in rows_where(np.any(beyond, axis=0)):
        yield Finding("window", row, detail(params, *(values[row] for values in measures)))


def rows_where(mask: np.ndarray) -> list[int]:
    """Row numbers where a mask is true."""
    return [int(row) for row in np.flatnonzero(np.asarray(mask, bool))]
