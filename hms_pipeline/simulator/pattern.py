"""Rhythmic and periodic patterns: one generator from a sinusoid to discharges to a seizure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..schema import SFREQ
from .head import derive, lead_field, mirror_position, project, unit_vector
from .noise import slow_curve

# Where patterns come from on the right side: polar angle, azimuth in degrees.
SITES = {
    "temporal": (85, 10), "frontal": (60, 60), "central": (50, 5), "parietal": (60, 315),
    "posterior temporal": (85, 330), "occipital": (85, 292),
}  # fmt: skip


@dataclass(frozen=True)
class Morphology:
    """What a patient's pattern looks like, whatever it does over time.

    Parameters
    ----------
    side : int
        -1 left, 1 right.
    site, spread_site : str
        Where it starts and where a seizure spreads to; keys of ``SITES``.
    breadth : float
        How far from its site a hemisphere takes part, in units of the head's radius.
    sharp_s, slow_s : float
        Durations of the sharp phase and of the slow wave after it.
    slow_gain : float
        Slow wave relative to the sharp phase.
    triphasic : float
        Height of a first positive phase, and of the lag from front to back.
    harmonic : float
        Second harmonic of the rhythmic form: how notched its waves are.
    lag_s : float
        One hemisphere after the other.
    regularity : float
        Log spread of the interval between repetitions.
    height_uv : float
        Peak to trough in the largest bipolar derivation at full prominence; ACNS calls less
        than 50 uV low, 150 uV and more high.
    """

    side: int
    site: str
    spread_site: str
    breadth: float
    sharp_s: float
    slow_s: float
    slow_gain: float
    triphasic: float
    harmonic: float
    lag_s: float
    regularity: float
    height_uv: float


def draw_morphology(rng: np.random.Generator, side: int) -> Morphology:
    """A patient's pattern."""
    sites = rng.choice(len(SITES), size=2, replace=False)
    return Morphology(
        side=side,
        site=list(SITES)[sites[0]],
        spread_site=list(SITES)[sites[1]],
        breadth=float(rng.uniform(0.5, 1.4)),
        sharp_s=float(rng.uniform(0.06, 0.18)),
        slow_s=float(rng.uniform(0.18, 0.42)),
        slow_gain=float(rng.uniform(0.2, 0.7)),
        triphasic=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.3 else 0.0,
        harmonic=float(rng.uniform(0.0, 0.3)),
        lag_s=float(rng.uniform(0.005, 0.04)),
        regularity=float(rng.uniform(0.05, 0.16)),
        height_uv=float(np.clip(rng.lognormal(np.log(100), 0.4), 40, 280)),
    )


@dataclass(frozen=True)
class Course:
    """How a pattern changes over a recording: knots in time and values between them.

    Parameters
    ----------
    times : array, shape (n_knots,)
        Seconds, increasing.
    prominence, sharpness, laterality, spread, rate_hz : array, shape (n_knots,)
    """

    times: np.ndarray
    prominence: np.ndarray
    sharpness: np.ndarray
    laterality: np.ndarray
    spread: np.ndarray
    rate_hz: np.ndarray

    def at(self, name: str, seconds: np.ndarray) -> np.ndarray:
        """One of the values at given times."""
        return np.interp(seconds, self.times, getattr(self, name))


def discharge_table(morphology: Morphology, n: int = 1024, length_s: float = 1.0) -> np.ndarray:
    """One discharge over ``length_s`` seconds: positive phase, sharp wave, slow wave.

    Negative potential at the scalp is the main phase; peak to trough is 1.
    """
    t = np.linspace(0, length_s, n)
    peak = 0.5 * morphology.sharp_s + 0.10 * (morphology.triphasic > 0)
    rise, fall = 0.22 * morphology.sharp_s, 0.34 * morphology.sharp_s
    sharp = -np.exp(-0.5 * ((t - peak) / np.where(t < peak, rise, fall)) ** 2)
    after = peak + 0.55 * morphology.sharp_s + 0.5 * morphology.slow_s
    slow = morphology.slow_gain * np.exp(-0.5 * ((t - after) / (0.3 * morphology.slow_s)) ** 2)
    before = peak - 0.09
    first = morphology.triphasic * np.exp(-0.5 * ((t - before) / 0.03) ** 2)
    third = morphology.triphasic * np.exp(-0.5 * ((t - peak - 0.17) / 0.07) ** 2)
    wave = sharp + slow + 0.7 * first + 0.8 * third
    wave -= np.linspace(wave[0], wave[-1], n)
    return wave / np.ptp(wave)


def add_pattern(
    rng: np.random.Generator, potential: np.ndarray, morphology: Morphology, course: Course
) -> None:
    """Add the pattern to a potential in place.

    Parameters
    ----------
    rng : Generator
    potential : array, shape (19, n_times)
        Microvolts at 200 Hz.
    morphology : Morphology
    course : Course
    """
    seconds = np.arange(potential.shape[1]) / SFREQ
    prominence = course.at("prominence", seconds)
    wave = _waveform(rng, morphology, course, seconds)
    wave *= morphology.height_uv * _envelope(rng, prominence)
    lag = max(1, round(morphology.lag_s * SFREQ))
    far = 1 - np.clip(course.at("laterality", seconds) * 1.1, 0, 1)
    spread = course.at("spread", seconds)
    late = np.roll(wave, 3 * lag)
    middle = np.roll(wave, lag + round(0.08 * SFREQ * morphology.triphasic))
    sources = np.stack([wave, np.roll(wave, lag) * far, late * spread, middle * far])
    project(potential, _fields(morphology), sources)


def _waveform(
    rng: np.random.Generator, morphology: Morphology, course: Course, seconds: np.ndarray
) -> np.ndarray:
    """The pattern at unit amplitude: discharges and waves, mixed by sharpness."""
    n = len(seconds)
    rate = course.at("rate_hz", seconds)
    rate *= np.exp(morphology.regularity * slow_curve(rng, n, 0.9))
    phase = np.cumsum(rate) / SFREQ
    cycle = phase.astype(np.intp)
    part = phase - cycle
    sharpness = course.at("sharpness", seconds)
    table = discharge_table(morphology)
    # Fast discharges shorten, so that one ends before the next begins.
    place = part / np.maximum(rate, 1.4) * np.maximum(rate / 2.2, 1.0)
    discharge = table[np.minimum(place * len(table), len(table) - 1).astype(np.intp)]
    discharge *= np.exp(0.22 * rng.standard_normal(cycle[-1] + 1))[cycle]
    turn = 2 * np.pi * part
    rhythm = np.sin(turn) + morphology.harmonic * np.sin(2 * turn + 0.8)
    mix = np.clip(1.6 * sharpness - 0.3, 0, 1)
    # Discharges are short: at equal visibility they stand higher.
    return 1.2 * mix * discharge - 0.5 * (1 - mix) * rhythm


def _envelope(rng: np.random.Generator, prominence: np.ndarray) -> np.ndarray:
    """Amplitude, and the breaks that a less prominent pattern has."""
    n = len(prominence)
    runs = 1 / (1 + np.exp(-(prominence - 0.42 + 0.22 * slow_curve(rng, n, 3.0)) / 0.06))
    waxing = np.exp(0.15 * slow_curve(rng, n, 6.0))
    return runs * waxing * np.clip(prominence, 0, 2) ** 1.2


def _fields(morphology: Morphology) -> np.ndarray:
    """Fields of the focus, its mirror, the seizure's spread and the midline copy, (19, 4).

    Each is scaled to 1 in the derivation that shows it best.
    """

    def hemisphere(site: str, side: int) -> np.ndarray:
        places = unit_vector(*np.array(list(SITES.values()), float).T)
        distance = np.linalg.norm(places - places[list(SITES).index(site)], axis=1)
        involved = np.exp(-((distance / morphology.breadth) ** 2))
        places = places if side > 0 else mirror_position(places)
        return lead_field(places, 0.6) @ involved

    middle = unit_vector(np.array([25.0]), np.array([90.0]))
    field = np.stack([
        hemisphere(morphology.site, morphology.side),
        hemisphere(morphology.site, -morphology.side),
        hemisphere(morphology.spread_site, morphology.side),
        lead_field(middle, 0.5)[:, 0],
    ], axis=1)  # fmt: skip
    field /= np.abs(derive(field)).max(axis=0)
    field[:, 3] *= 0.3 + 0.4 * (morphology.triphasic > 0)
    return field
