"""Labels of one recording → labelled stretches of 10 s with votes.

A label speaks for a stretch of time. One without a duration speaks for the 10 s from its onset, one
under 10 s for the 10 s around its middle. A longer one is cut at the recording's multiples of
10 s, so that readers who mark freely meet on the same stretches. A reader's vote counts for every
labelled stretch of which the reader's mark covers at least half.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from ...schema import CLASSES, LABEL_S, SFREQ
from .labels import Label

STRETCH = round(LABEL_S * SFREQ)  # samples
POINT_S = 1.0  # a duration below it is none: some software marks a point by one sample


@dataclass(frozen=True)
class Timed:
    """A label whose onset is known in seconds from the recording's start."""

    label: Label
    start_s: float

    @property
    def span(self) -> tuple[int, int]:
        """First sample of what it speaks for, and the one after the last; at least 10 s."""
        duration_s = self.label.duration_s
        early_s = max(0.0, LABEL_S - duration_s) / 2 if duration_s >= POINT_S else 0.0
        start = round((self.start_s - early_s) * SFREQ)
        return start, start + round(max(duration_s, LABEL_S) * SFREQ)

    @property
    def stretches(self) -> list[int]:
        """First samples of the 10 s stretches that it names; the middle one where none fits."""
        start, stop = self.span
        if stop - start <= STRETCH:
            return [start]
        on_grid = range(ceil(start / STRETCH), floor(stop / STRETCH))
        return [k * STRETCH for k in on_grid] or [(start + stop - STRETCH) // 2]


@dataclass(frozen=True)
class Fault:
    """Why a label, or a reader's vote on one stretch, does not count."""

    row: int | None
    start_s: float
    kind: str
    reason: str


def count_votes(labels: Sequence[Timed]) -> tuple[dict[int, tuple[int, ...]], list[Fault]]:
    """Votes on each labelled stretch.

    Parameters
    ----------
    labels : sequence of Timed
        Of one recording.

    Returns
    -------
    votes : dict of int to tuple of int
        First sample of the 10 s → six votes; in the order of time.
    faults : list of Fault
    """
    panels = [timed for timed in labels if timed.label.reader is None]
    single = [timed for timed in labels if timed.label.reader is not None]
    votes, faults = _panels(panels) if panels else _readers(single)
    return dict(sorted(votes.items())), faults


def _panels(labels: Sequence[Timed]) -> tuple[dict[int, tuple[int, ...]], list[Fault]]:
    """Rows that hold the votes of several readers: each stands for itself."""
    given: dict[int, list[Timed]] = defaultdict(list)
    for timed in labels:
        for start in timed.stretches:
            given[start].append(timed)
    votes, faults = {}, []
    for start, rows in given.items():
        agreed = len({timed.label.votes for timed in rows}) == 1
        if agreed:
            votes[start] = rows[0].label.votes
        lines = [timed.label.row for timed in rows]
        for timed in rows[1:] if agreed else rows:
            kind, said = ("repeat", "the same") if agreed else ("contradiction", "other")
            faults.append(
                Fault(
                    timed.label.row,
                    start / SFREQ,
                    kind,
                    f"Rows {lines} give {said} votes on one stretch of 10 s.",
                )
            )
    return votes, faults


def _readers(labels: Sequence[Timed]) -> tuple[dict[int, tuple[int, ...]], list[Fault]]:
    """Marks of single readers: each reader has one vote on each stretch."""
    starts = np.array(sorted({start for timed in labels for start in timed.stretches}), np.int64)
    by_reader: dict[str, list[Timed]] = defaultdict(list)
    for timed in labels:
        by_reader[timed.label.reader or ""].append(timed)
    totals = np.zeros((len(starts), len(CLASSES)), np.int64)
    faults = []
    for reader, marks in sorted(by_reader.items()):
        covered = _covered(starts, marks)
        most = covered.max(axis=1)
        best = covered == most[:, None]
        counts = most >= STRETCH // 2
        torn = counts & (best.sum(axis=1) > 1)
        totals += best & (counts & ~torn)[:, None]
        for k in np.flatnonzero(torn):
            named = [name for name, is_best in zip(CLASSES, best[k], strict=True) if is_best]
            who = f"Reader {reader!r} marks" if reader else "The labels mark"
            faults.append(
                Fault(
                    None,
                    starts[k] / SFREQ,
                    "contradiction",
                    f"{who} both {' and '.join(named)} on one stretch of 10 s.",
                )
            )
        faults += _repeats(marks)
    voted = totals.any(axis=1)
    votes = {
        int(start): tuple(map(int, row))
        for start, row in zip(starts[voted], totals[voted], strict=True)
    }
    return votes, faults


def _covered(starts: np.ndarray, marks: Sequence[Timed]) -> np.ndarray:
    """Samples of each stretch that one reader's marks of each class cover, at most all of them.

    Returns
    -------
    ndarray, shape (n_starts, 6), int
    """
    out = np.zeros((len(starts), len(CLASSES)), np.int64)
    for timed in marks:
        first, stop = timed.span
        near = slice(*np.searchsorted(starts, [first - STRETCH + 1, stop]))
        inside = np.minimum(starts[near] + STRETCH, stop) - np.maximum(starts[near], first)
        column = out[near, timed.label.votes.index(1)]
        np.maximum(column, inside, out=column)
    return out


def _repeats(marks: Sequence[Timed]) -> list[Fault]:
    """Later ones of a reader's marks that say the same of the same stretch."""
    seen: Counter[tuple] = Counter()
    faults = []
    for timed in marks:
        key = (timed.span, timed.label.votes)
        if seen[key]:
            faults.append(
                Fault(
                    timed.label.row,
                    timed.start_s,
                    "repeat",
                    "The same reader marks the same class there once already.",
                )
            )
        seen[key] += 1
    return faults
