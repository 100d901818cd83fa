"""What a stretch of EEG is, before anybody votes: five numbers that signal and raters share.

Classes are regions of this space, so that patterns may lie between them: a "proto" pattern near
the prominence boundary splits between a class and `other`, an "edge case" near another boundary
splits between two named classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

BOUNDARY = 0.5
# Boundaries that a class may lie near, with weights: (parameter, weight).
EDGES = {
    "seizure": (("evolution", 0.55), ("prominence", 0.45)),
    "lpd": (("prominence", 0.45), ("laterality", 0.2), ("sharpness", 0.2), ("evolution", 0.15)),
    "gpd": (("prominence", 0.45), ("laterality", 0.2), ("sharpness", 0.2), ("evolution", 0.15)),
    "lrda": (("prominence", 0.5), ("laterality", 0.2), ("sharpness", 0.15), ("evolution", 0.15)),
    "grda": (("prominence", 0.6), ("laterality", 0.15), ("sharpness", 0.2), ("evolution", 0.05)),
    "other": (("prominence", 1.0),),
}


@dataclass(frozen=True)
class Latent:
    """The state of a pattern; each boundary lies at 0.5.

    Parameters
    ----------
    prominence : float
        How much it stands out and how continuous it is; below 0.5 it reads as `other`.
    evolution : float
        Evolution in frequency, amplitude and place; above 0.5 it reads as a seizure.
    sharpness : float
        1: discharges with gaps between them; 0: a sinusoid without gaps.
    laterality : float
        1: one hemisphere only; 0: both alike.
    rate_hz : float
        Repetitions per second, where it does not evolve.
    """

    prominence: float
    evolution: float
    sharpness: float
    laterality: float
    rate_hz: float

    @property
    def name(self) -> str:
        """The class whose region this point lies in."""
        return classify(self.prominence, self.evolution, self.sharpness, self.laterality)


def classify(prominence: float, evolution: float, sharpness: float, laterality: float) -> str:
    """The experts' decision, as a tree over what they perceive.

    Examples
    --------
    >>> classify(0.9, 0.1, 0.9, 0.9)
    'lpd'

    References
    ----------
    Hirsch et al., ACNS Standardized Critical Care EEG Terminology 2021.
    """
    if prominence < BOUNDARY:
        return "other"
    if evolution > BOUNDARY:
        return "seizure"
    side = "l" if laterality > BOUNDARY else "g"
    return side + ("pd" if sharpness > BOUNDARY else "rda")


def draw_latent(rng: np.random.Generator, name: str, ambiguous: bool) -> Latent:
    """A point in a class's region: well inside, or near one of its boundaries.

    Parameters
    ----------
    rng : Generator
    name : str
        One of ``schema.CLASSES``.
    ambiguous : bool
        Near a boundary, where raters disagree.
    """
    inside = rng.uniform(0.30, 0.48, size=4)
    signs = _signs(rng, name)
    if ambiguous:
        edges, weights = zip(*EDGES[name], strict=True)
        near = rng.choice(len(edges), size=min(2, len(edges)), replace=False, p=weights)
        inside[_AXES.index(edges[near[0]])] = rng.uniform(0.0, 0.16)
        inside[_AXES.index(edges[near[-1]])] *= rng.uniform(0.3, 1.0)
    points = np.clip(BOUNDARY + signs * inside, 0, 1)
    values = dict(zip(_AXES, points.tolist(), strict=True))
    return Latent(**values, rate_hz=_draw_rate(rng, values["evolution"], values["sharpness"]))


_AXES = ("prominence", "evolution", "sharpness", "laterality")


def _signs(rng: np.random.Generator, name: str) -> np.ndarray:
    free = np.where(rng.random(4) < 0.5, 1.0, -1.0)
    if name == "other":
        return np.array([-1.0, -1.0, free[2], free[3]])
    if name == "seizure":
        return np.array([1.0, 1.0, free[2], 1.0 if free[3] > 0 or rng.random() < 0.4 else -1.0])
    return np.array([
        1.0, -1.0, 1.0 if name.endswith("pd") else -1.0, 1.0 if name[0] == "l" else -1.0,
    ])  # fmt: skip


def _draw_rate(rng: np.random.Generator, evolution: float, sharpness: float) -> float:
    if sharpness > BOUNDARY:
        rate = float(np.clip(rng.lognormal(np.log(1.05), 0.3), 0.5, 2.0))
    else:
        rate = float(np.clip(rng.lognormal(np.log(1.5), 0.3), 0.8, 2.6))
    # What evolves is fast, and what nearly evolves is nearly as fast.
    return rate + 1.6 * max(evolution - 0.3, 0.0)


def drift_latent(rng: np.random.Generator, latent: Latent, ambiguous: bool) -> Latent:
    """The same recording some seconds later: as before, or waxed or waned, or drawn anew."""
    move = rng.random()
    if move < 0.55:
        return latent
    if move < 0.8:
        change = rng.uniform(-0.35, 0.15)
        return replace(latent, prominence=float(np.clip(latent.prominence + change, 0, 1)))
    return draw_latent(rng, latent.name, ambiguous)
