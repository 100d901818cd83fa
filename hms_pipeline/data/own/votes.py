"""Labels of one recording → labelled stretches of 10 s with votes.

A label speaks for a stretch of time. One without a duration speaks for the 10 s from its onset, one
under 10 s for the 10 s around its middle. A longer one is cut at the recording's multiples of
10 s, so that readers who mark freely meet on the same stretches. A reader's vote counts for every
labelled stretch of which the reader's mark covers at least half.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from ...schema import CLASSES, LABEL_S, SFREQ
from .labels import Label, LeftOut

STRETCH = round(LABEL_S * SFREQ)  # samples
POINT_S = 1.0  # a shorter duration counts as none: some software marks a point by one sample


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


Votes = dict[int, tuple[int, ...]]  # first sample of the 10 s → six votes


def count_votes(labels: Sequence[Timed]) -> tuple[Votes, list[LeftOut]]:
    """Votes on each labelled stretch.

    Parameters
    ----------
    labels : sequence of Timed
        Of one recording.

    Returns
    -------
    votes : dict of int to tuple of int
        First sample of the 10 s → six votes; in the order of time.
    left_out : list of LeftOut
    """
    panels = [timed for timed in labels if timed.label.reader is None]
    single = [timed for timed in labels if timed.label.reader is not None]
    votes, left_out = _panels(panels) if panels else _readers(single)
    return dict(sorted(votes.items())), left_out


def _panels(labels: Sequence[Timed]) -> tuple[Votes, list[LeftOut]]:
    """Rows that hold the votes of several readers: each stands for itself."""
    given: dict[int, list[Timed]] = defaultdict(list)
    for timed in labels:
        for start in timed.stretches:
            given[start].append(timed)
    votes, left_out = {}, []
    for start, rows in given.items():
        agreed = len({timed.label.votes for timed in rows}) == 1
        if agreed:
            votes[start] = rows[0].label.votes
        kind, said = ("repeat", "the same") if agreed else ("contradiction", "other")
        lines = [timed.label.row for timed in rows]
        reason = f"Rows {lines} give {said} votes on one stretch of 10 s."
        others = lines[1:] if agreed else lines
        left_out += [LeftOut("", row, start / SFREQ, kind, reason) for row in others]
    return votes, left_out


def _readers(labels: Sequence[Timed]) -> tuple[Votes, list[LeftOut]]:
    """Marks of single readers: each reader has one vote on each stretch."""
    starts = np.array(sorted({start for timed in labels for start in timed.stretches}), np.int64)
    by_reader: dict[str, list[Timed]] = defaultdict(list)
    for timed in labels:
        by_reader[timed.label.reader or ""].append(timed)
    totals = np.zeros((len(starts), len(CLASSES)), np.int64)
    left_out = []
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
            reason = f"{who} both {' and '.join(named)} on one stretch of 10 s."
            left_out.append(LeftOut("", None, starts[k] / SFREQ, "contradiction", reason))
        left_out += _repeats(marks)
    voted = totals.any(axis=1)
    votes = {
        int(start): tuple(map(int, row))
        for start, row in zip(starts[voted], totals[voted], strict=True)
    }
    return votes, left_out


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


def _repeats(marks: Sequence[Timed]) -> list[LeftOut]:
    """Later ones of a reader's marks that say the same of the same stretch."""
    reason = "The same reader marks the same class there once already."
    seen: set[tuple] = set()
    repeats = []
    for timed in marks:
        key = (timed.span, timed.label.votes)
        if key in seen:
            repeats.append(LeftOut("", timed.label.row, timed.start_s, "repeat", reason))
        seen.add(key)
    return repeats
