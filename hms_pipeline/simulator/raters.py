"""Experts who each perceive a pattern a little differently, and vote."""

from __future__ import annotations

import numpy as np

from ..schema import CLASSES
from .latent import Latent, classify

BIAS_SD = 0.07  # spread of the raters' biases; a rater has one bias for all windows
NOISE_SD = 0.10  # spread of one rater's errors from one reading to the next
LAPSE = 0.03  # share of votes that have nothing to do with the signal

# Totals of votes; 8 and 9 never occur in the competition.
LOW_TOTALS = {1: 0.11, 2: 0.10, 3: 0.50, 4: 0.11, 5: 0.09, 6: 0.05, 7: 0.04}
HIGH_TOTALS = {
    10: 0.10, 11: 0.11, 12: 0.12, 13: 0.13, 14: 0.13, 15: 0.12, 16: 0.10, 17: 0.07, 18: 0.05,
    19: 0.03, 20: 0.01, 22: 0.01, 25: 0.01, 28: 0.01,
}  # fmt: skip


def draw_total(rng: np.random.Generator, many: bool) -> int:
    """How many experts vote on a window."""
    totals = HIGH_TOTALS if many else LOW_TOTALS
    return int(rng.choice(list(totals), p=list(totals.values())))


def draw_votes(rng: np.random.Generator, latent: Latent, n_votes: int) -> tuple[int, ...]:
    """Votes of ``n_votes`` raters, in the order of ``schema.CLASSES``.

    Examples
    --------
    >>> votes = draw_votes(np.random.default_rng(0), Latent(0.9, 0.1, 0.9, 0.9, 1.0), 12)
    >>> sum(votes), int(np.argmax(votes))
    (12, 1)
    """
    point = np.array([latent.prominence, latent.evolution, latent.sharpness, latent.laterality])
    spread = np.hypot(BIAS_SD, NOISE_SD)
    perceived = point + rng.normal(0, spread, size=(n_votes, 4))
    names = [classify(*row) for row in perceived.tolist()]
    lapsed = rng.random(n_votes) < LAPSE
    random_votes = rng.integers(len(CLASSES), size=n_votes)
    votes = [0] * len(CLASSES)
    for name, lapse, random_vote in zip(names, lapsed, random_votes, strict=True):
        votes[int(random_vote) if lapse else CLASSES.index(name)] += 1
    return tuple(votes)
