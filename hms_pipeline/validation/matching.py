"""Pairs of recordings that hold the same signal, found through shared landmark hashes.

Nothing is compared all with all: recordings meet only where they share hashes that agree on
one shift, and only those pairs are read again and correlated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.competition import eeg_path
from ..data.recording import read_eeg
from .landmarks import SIGNATURE_SFREQ, signature

SHIFT_STEP_S = 0.1
MOST_PER_HASH = 48  # a hash in more recordings than this is a rhythm, not a landmark


@dataclass(frozen=True)
class Candidate:
    """Recordings ``a`` and ``b`` may be one signal, ``b`` starting ``shift_s`` after ``a``."""

    a: int
    b: int
    shift_s: float
    votes: int


@dataclass(frozen=True)
class Match:
    """Two recordings compared.

    Parameters
    ----------
    a, b : int
        EEG ids.
    shift_s : float
        How much later ``b`` starts.
    correlation : float
        Over the common stretch, all derivations together.
    coverage : float
        Share of the shorter recording in the common stretch.
    """

    a: int
    b: int
    shift_s: float
    correlation: float
    coverage: float


def candidates(
    hashes: np.ndarray, times: np.ndarray, owners: np.ndarray, votes: int
) -> list[Candidate]:
    """Pairs of recordings with at least ``votes`` shared hashes at one shift.

    Parameters
    ----------
    hashes : array, shape (n,), uint64
    times : array, shape (n,)
        Seconds from the start of the hash's recording.
    owners : array, shape (n,)
        Id of the hash's recording.
    votes : int
        Hashes that must agree.

    Returns
    -------
    list of Candidate
        Sorted by ids, one per pair.
    """
    order = np.lexsort((times, owners, hashes))
    hashes, times, owners = hashes[order], times[order], owners[order]
    first, second = _meetings(hashes, owners)
    if len(first) == 0:
        return []
    a, b = owners[first], owners[second]
    shift = times[first].astype(np.float64) - times[second]
    return _count_votes(a, b, shift, votes)


def _meetings(hashes: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index pairs of equal hashes (sorted input) in different recordings."""
    size = np.unique(hashes, return_counts=True)[1]
    rare = np.repeat(size <= MOST_PER_HASH, size)
    first, second = [], []
    for lag in range(1, min(int(size.max(initial=1)), MOST_PER_HASH)):
        here = np.flatnonzero((hashes[lag:] == hashes[:-lag]) & rare[lag:])
        here = here[owners[here] != owners[here + lag]]
        first.append(here)
        second.append(here + lag)
    if not first:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(first), np.concatenate(second)


def _count_votes(a: np.ndarray, b: np.ndarray, shift: np.ndarray, votes: int) -> list[Candidate]:
    swap = a > b
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    shift = np.where(swap, -shift, shift)
    order = np.lexsort((shift, b, a))
    a, b, shift = a[order], b[order], shift[order]
    # The run of `votes` consecutive entries that starts here lies within one step of shift.
    span = votes - 1
    if len(a) <= span:
        return []
    agree = (a[span:] == a[:-span]) & (b[span:] == b[:-span])
    agree &= shift[span:] - shift[:-span] <= SHIFT_STEP_S
    best: dict[tuple[int, int], Candidate] = {}
    for start in np.flatnonzero(agree).tolist():
        key = (int(a[start]), int(b[start]))
        same = slice(start, start + _run(a, b, shift, start))
        found = Candidate(*key, float(np.median(shift[same])), same.stop - same.start)
        if key not in best or found.votes > best[key].votes:
            best[key] = found
    return [best[key] for key in sorted(best)]


def _run(a: np.ndarray, b: np.ndarray, shift: np.ndarray, start: int) -> int:
    stop = start
    while (
        stop < len(a)
        and a[stop] == a[start]
        and b[stop] == b[start]
        and shift[stop] - shift[start] <= SHIFT_STEP_S
    ):
        stop += 1
    return stop - start


def compare(root: Path, candidate: Candidate) -> Match:
    """Read both recordings and correlate their common stretch."""
    one, two = (read_eeg(eeg_path(root, key)) for key in (candidate.a, candidate.b))
    return correlate(one, two, candidate)


def correlate(a: np.ndarray, b: np.ndarray, candidate: Candidate) -> Match:
    """Correlate the common stretch of two EEGs, at the best shift near the candidate's.

    Parameters
    ----------
    a, b : array, shape (20, n_times)
        Microvolts, NaN where missing.
    candidate : Candidate
        Ids, and the shift that the landmarks agree on.
    """
    one, two = signature(a), signature(b)
    guess = round(candidate.shift_s * SIGNATURE_SFREQ)
    reach = round(SHIFT_STEP_S * SIGNATURE_SFREQ)
    shifts = range(guess - reach, guess + reach + 1)
    correlation, shift = max((_correlation(one, two, s), s) for s in shifts)
    common = _common(one, two, shift)[0].shape[1]
    return Match(
        candidate.a,
        candidate.b,
        shift / SIGNATURE_SFREQ,
        correlation,
        common / max(1, min(one.shape[1], two.shape[1])),
    )


def _common(one: np.ndarray, two: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """The stretches of both that cover the same time when ``two`` starts ``shift`` later."""
    length = min(one.shape[1] - max(shift, 0), two.shape[1] - max(-shift, 0))
    length = max(length, 0)
    return (
        one[:, max(shift, 0) : max(shift, 0) + length],
        two[:, max(-shift, 0) : max(-shift, 0) + length],
    )


def _correlation(one: np.ndarray, two: np.ndarray, shift: int) -> float:
    x, y = _common(one, two, shift)
    norm = np.sqrt(np.sum(x.astype(np.float64) ** 2) * np.sum(y.astype(np.float64) ** 2))
    return float(np.sum(x.astype(np.float64) * y) / norm) if norm > 0 else 0.0
