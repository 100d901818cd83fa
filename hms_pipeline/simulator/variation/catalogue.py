"""The two catalogues: traits that are drawn, and what is added to a signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...catalogue import Catalogue, entry_maker
from ...schema import ELECTRODES, SFREQ

N_ELECTRODES = len(ELECTRODES)
Draw = Callable[[np.random.Generator], dict[str, object]]
Add = Callable[[np.random.Generator, np.ndarray, float], None]
Block = Callable[[np.random.Generator], np.ndarray]  # array of shape (19, m), in uV


class Variation(NamedTuple):
    """A source that draws traits.

    Parameters
    ----------
    part : str
        Field of ``Patient`` whose traits it draws.
    draw : callable
        Generator → traits by name.
    """

    part: str
    draw: Draw


class Artefact(NamedTuple):
    """A source that adds to a signal.

    Parameters
    ----------
    share : float
        Of patients who have it.
    add : callable
        Takes a generator, an array of shape (20, n) in uV, which it changes in place, and an
        amount: 1 for a usual patient.
    """

    share: float
    add: Add


VARIATIONS: Catalogue[Variation] = Catalogue("source of variation")
ARTEFACTS: Catalogue[Artefact] = Catalogue("artefact")


def variation(name: str, part: str) -> Callable[[Draw], Draw]:
    """Register a source that draws traits of one part of a patient."""
    return entry_maker(VARIATIONS, lambda draw: Variation(part, draw), name)


def artefact(name: str, share: float = 1.0) -> Callable[[Add], Add]:
    """Register a source that a share of patients has on the EEG."""
    return entry_maker(ARTEFACTS, lambda add: Artefact(share, add), name)


def brief(name: str, *, share: float, per_minute: float, longest: int) -> Callable[[Block], Block]:
    """Register a source of events, each a block of its own that is added to all electrodes.

    Parameters
    ----------
    name : str
    share : float
        Of patients who have it.
    per_minute : float
        Events of a usual patient.
    longest : int
        Samples before the end in which none begins.
    """

    def make(draw: Block) -> Artefact:
        def add(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
            for start in event_starts(rng, eeg.shape[1], per_minute * amount, longest):
                add_block(eeg, start, None, draw(rng))

        return Artefact(share, add)

    return entry_maker(ARTEFACTS, make, name)


def event_starts(rng: np.random.Generator, n: int, per_minute: float, length: int) -> list[int]:
    """Where events begin, in samples: a Poisson process."""
    count = rng.poisson(max(per_minute, 0) * n / SFREQ / 60)
    return sorted(rng.integers(0, max(n - length, 1), size=count).tolist())


def add_block(eeg: np.ndarray, start: int, channels: list[int] | None, block: np.ndarray) -> None:
    """Add a block, array of shape (n_channels, m) or (m,), to channels (None: all electrodes)."""
    rows = slice(0, N_ELECTRODES) if channels is None else channels
    stop = min(start + block.shape[-1], eeg.shape[1])
    eeg[rows, start:stop] += block[..., : stop - start]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
