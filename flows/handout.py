"""Choose which folds are trained next, and how many in one process.

A batch of folds of one member is trained by one process, which loads Python, features and kernels
once. A batch takes at most an equal share of the work that is left. So at the end no slot is idle
while another still has a whole member to train (guided self-scheduling).

References
----------
Polychronopoulos and Kuck, "Guided self-scheduling: a practical scheduling scheme for parallel
supercomputers", IEEE Transactions on Computers 1987.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

START_S = 10.0  # time of a process before its first step; a batch should take longer
FOLD_S = 60.0  # assumed time of a fold where nothing is known


@dataclass(frozen=True)
class Batch:
    """Folds of one member for one process."""

    stage: str
    folds: tuple[int, ...]

    @property
    def name(self) -> str:
        """``train@eegnet folds 0, 1``."""
        kind = "fold" if len(self.folds) == 1 else "folds"
        return f"{self.stage} {kind} {', '.join(map(str, self.folds))}"


class Handout:
    """Folds that wait for a slot.

    Parameters
    ----------
    slots : int
        Processes at the same time.
    seconds : mapping of str to float, optional
        Stage → what one of its folds took the last time.
    """

    def __init__(self, slots: int, seconds: Mapping[str, float] | None = None) -> None:
        self.slots = max(1, slots)
        self.seconds = dict(seconds or {})
        self.waiting: dict[str, list[int]] = {}

    def add(self, stage: str, folds: Sequence[int], assumed_s: float = FOLD_S) -> None:
        """Let folds of a stage wait; ``assumed_s`` each where none was trained here."""
        self.waiting[stage] = list(folds)
        self.seconds.setdefault(stage, assumed_s)

    def drop(self, stage: str) -> None:
        """Forget what waits of a stage."""
        self.waiting.pop(stage, None)

    def take(self, stages: Collection[str] | None = None) -> Batch | None:
        """The next batch: of the member with most work left, at most an equal share of all.

        Parameters
        ----------
        stages : collection of str, optional
            Those that fit the free slots; all where none are given.
        """
        chosen = self.waiting.keys() if stages is None else self.waiting.keys() & set(stages)
        if not chosen:
            return None
        stage = max(sorted(chosen), key=self._left)
        share = sum(map(self._left, self.waiting)) / self.slots
        seconds = self._of_one(stage)
        count = max(math.ceil(share / seconds), math.ceil(START_S / seconds))
        folds = self.waiting[stage][:count]
        del self.waiting[stage][:count]
        if not self.waiting[stage]:
            del self.waiting[stage]
        return Batch(stage, tuple(folds))

    def _of_one(self, stage: str) -> float:
        return max(self.seconds[stage], 0.1)

    def _left(self, stage: str) -> float:
        return len(self.waiting[stage]) * self._of_one(stage)
