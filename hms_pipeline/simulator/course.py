"""How a pattern changes over a recording: from labelled moments to curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ..schema import LABEL_S
from .latent import Latent
from .noise import slow_curve
from .patient import Morphology, Patient, Seizure

STEP_S = 0.25  # time between two knots of a course
# A full pattern lies at 0.92 of prominence, the boundary at 0.5; there a pattern that is weak and
# nothing else stands out of the background by so many of its standard deviations.
FULL, BOUNDARY, BOUNDARY_HEIGHT = 0.92, 0.5, 5.0
# Share of the time that a pattern runs, by its prominence, where it is brief and nothing else.
COVERAGE = ((0.0, 0.25, 0.5, 0.7, 0.85), (0.0, 0.1, 0.4, 0.8, 1.0))


@dataclass(frozen=True)
class Moment:
    """What a recording shows around a time, in seconds from its start."""

    time_s: float
    latent: Latent


@dataclass(frozen=True)
class Course:
    """Knots in time and values between them.

    Parameters
    ----------
    times : array, shape (n_knots,)
        Seconds, increasing.
    level : array, shape (n_knots,)
        Height of the pattern relative to the full one; 0 where it pauses.
    sharpness, laterality, rate_hz : array, shape (n_knots,)
        As in ``Latent``.
    spread : array, shape (n_knots,)
        How much of a seizure has reached its second site.
    irregular : array, shape (n_knots,)
        0 as regular as the patient's patterns are, 1 not regular at all.
    background : array, shape (n_knots,)
        Gain of the background.
    """

    times: np.ndarray
    level: np.ndarray
    sharpness: np.ndarray
    laterality: np.ndarray
    rate_hz: np.ndarray
    spread: np.ndarray
    irregular: np.ndarray
    background: np.ndarray

    def at(self, name: str, seconds: np.ndarray) -> np.ndarray:
        """One of the values at given times."""
        return np.interp(seconds, self.times, getattr(self, name))


def draw_course(
    rng: np.random.Generator, patient: Patient, moments: list[Moment], duration_s: float
) -> Course:
    """Join moments into one course; patterns wax and wane between them, seizures run through.

    Parameters
    ----------
    rng : Generator
    patient : Patient
    moments : list of Moment
        At least one, in order of time.
    duration_s : float
    """
    times = np.arange(0.0, duration_s + STEP_S, STEP_S)
    n = len(times)
    at = np.array([moment.time_s for moment in moments])
    curves = {
        name: np.interp(times, at, [getattr(moment.latent, name) for moment in moments])
        for name in ("prominence", "sharpness", "laterality", "rate_hz")
    }
    # Far from the labelled moments the pattern comes and goes.
    free = np.clip((np.abs(times[:, None] - at).min(axis=1) - 12) / 20, 0, 1)
    wander = 0.28 * slow_curve(rng, n, rng.uniform(20, 70), 1 / STEP_S) - 0.08
    curves["prominence"] = np.clip(curves["prominence"] + free * wander, 0, 1)
    curves["rate_hz"] *= np.exp(0.07 * slow_curve(rng, n, 20.0, 1 / STEP_S))
    curves |= {"growth": np.ones(n), "spread": np.zeros(n), "background": np.ones(n)}
    for moment in moments:
        if moment.latent.evolution > 0.3 and moment.latent.prominence > 0.3:
            _evolve(rng, patient.seizure, moment, times, curves)
    prominence = curves.pop("prominence")
    ratio = patient.morphology.height_uv / patient.background.level_uv
    level = curves.pop("growth") * heights(prominence, ratio, patient.morphology)
    level *= _runs(rng, prominence, times, at, patient.morphology)
    irregular = patient.morphology.irregular * np.clip((FULL - prominence) / 0.42, 0, 1)
    rate = np.clip(curves.pop("rate_hz"), 0.3, 24)
    return Course(times=times, level=level, irregular=irregular, rate_hz=rate, **curves)


def _evolve(
    rng: np.random.Generator,
    seizure: Seizure,
    moment: Moment,
    times: np.ndarray,
    curves: dict[str, np.ndarray],
) -> None:
    """Run a seizure, or what nearly is one, through the curves in place."""
    depth = min(1.0, max(0.0, (moment.latent.evolution - 0.3) / 0.4))
    length = seizure.length_s * rng.uniform(0.8, 1.25)
    part = (times - moment.time_s) / length + rng.uniform(0.12, 0.88)
    inside = (part > 0) & (part < 1)
    x = part[inside]
    bends = 0, rng.uniform(0.3, 0.6), 1
    chirp = np.exp(np.interp(x, bends, np.log(seizure.rates_hz)))
    growth = np.interp(x, bends, seizure.heights) * np.minimum(4 / chirp, 1) ** 0.5
    # It begins and ends within two seconds.
    edge = np.clip(np.minimum(x, 1 - x) * length / 2, 0, 1)
    rate, level = curves["rate_hz"], curves["growth"]
    rate[inside] = rate[inside] ** (1 - depth) * chirp**depth
    # Depth 0: as before; depth 1: all of it follows the seizure.
    level[inside] *= (growth * edge) ** depth
    prominence = curves["prominence"]
    prominence[inside] += depth * (moment.latent.prominence - prominence[inside])
    if seizure.sharpness is not None:
        sharpness = curves["sharpness"]
        sharpness[inside] += depth * (seizure.sharpness - sharpness[inside])
    curves["spread"][inside] = depth * seizure.spread * np.clip(x * 1.3, 0, 1)
    late = np.clip(x * 1.2 - 0.2, 0, 1)
    curves["laterality"][inside] *= 1 - seizure.spread * depth * late
    # Outside it there is little of the pattern, and after it little of anything.
    near = (part >= 1) | (part <= 0)
    beyond = np.clip(np.abs(times - moment.time_s) - length, 0, 60) / 60
    level[near] *= (1 - 0.8 * depth * (1 - beyond))[near]
    after = np.interp(part, [1, 1.02, 1.3, 1.6], [0, 1, 1, 0], left=0, right=0)
    curves["background"] *= 1 - 0.8 * seizure.pause * depth * after


def heights(prominence: np.ndarray, ratio: float, morphology: Morphology) -> np.ndarray:
    """Height relative to the full one, by prominence.

    Parameters
    ----------
    prominence : array
    ratio : float
        Full height in standard deviations of the background.
    morphology : Morphology
    """
    seen = prominence + 0.75 * (1 - morphology.weak) * (FULL - prominence)
    fall = np.minimum(BOUNDARY_HEIGHT / ratio, 1.0)
    height = fall ** ((FULL - seen) / (FULL - BOUNDARY))
    return height / (1 + np.exp((0.34 - prominence) / 0.05))


def _runs(
    rng: np.random.Generator,
    prominence: np.ndarray,
    times: np.ndarray,
    at: np.ndarray,
    morphology: Morphology,
) -> np.ndarray:
    """1 where the pattern runs, 0 where it pauses; runs have soft ends.

    Around a labelled moment it covers the share of the labelled seconds that it should, not
    only on average: what raters saw is what is there.
    """
    seen = prominence + 0.75 * (1 - morphology.brief) * (FULL - prominence)
    share = np.interp(seen, *COVERAGE)
    curve = slow_curve(rng, len(times), rng.uniform(1.5, 4.0), 1 / STEP_S)
    threshold = np.clip(ndtri(np.clip(share, 1e-4, 1 - 1e-4)), -4, 4)
    for time_s in at:
        labelled = np.abs(times - time_s) <= LABEL_S / 2
        place = (times[labelled] - time_s) / LABEL_S + 0.5  # 0 to 1
        place = (place + rng.random()) % 1.0 if rng.random() < 0.3 else place
        place = 1 - place if rng.random() < 0.5 else place
        curve[labelled] = np.clip((place - share[labelled]) * 6, -2, 2) + threshold[labelled]
    return 1 / (1 + np.exp(np.clip((curve - threshold) / 0.15, -30, 30)))
