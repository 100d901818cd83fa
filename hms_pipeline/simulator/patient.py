"""A patient and the amplifier: every trait that the signal is made from, with its plain value.

The plain values describe one template patient. Each source of variation (``variation/``) draws
some traits anew; a source that is left out leaves its traits at their plain values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np

from .variation import ARTEFACTS, VARIATIONS

Position = tuple[float, float]  # polar angle and azimuth in degrees, as in head.POLAR
Phase = tuple[float, float, float]  # centre and width in seconds, relative height


@dataclass(frozen=True)
class Background:
    """What the brain does between patterns.

    Parameters
    ----------
    level_uv : float
        Standard deviation in a typical derivation of the double banana.
    front : float
        Log gain from the vertex to the front; negative: more of it is behind.
    exponent, knee_hz : float
        Power falls as ``1 / (knee ** exponent + f ** exponent)``.
    delta, delta_hz, theta, theta_hz : float
        Slowing: peaks relative to the 1/f level there.
    slow_front : float
        How much more of the slowing is in front (positive) or behind (negative).
    alpha_uv, alpha_hz : float
        Posterior rhythm.
    beta_uv, beta_hz : float
        Frontal fast activity.
    lesion_side, lesion : float
        -1 left, 0 none, 1 right; how much more delta and less fast activity is there.
    breach : float
        Gain of fast activity on the side of the lesion, as over a defect of the skull.
    suppression, burst_s, pause_s : float
        0 continuous, 1 bursts between flat stretches; their usual durations.
    unrest, unrest_s : float
        Log spread of the level over time, and the time in which it changes.
    """

    level_uv: float = 8.0
    front: float = 0.0
    exponent: float = 1.7
    knee_hz: float = 0.5
    delta: float = 1.2
    delta_hz: float = 1.5
    theta: float = 0.8
    theta_hz: float = 5.5
    slow_front: float = 0.0
    alpha_uv: float = 1.5
    alpha_hz: float = 9.0
    beta_uv: float = 2.0
    beta_hz: float = 19.0
    lesion_side: int = 0
    lesion: float = 0.0
    breach: float = 1.0
    suppression: float = 0.0
    burst_s: float = 2.5
    pause_s: float = 6.0
    unrest: float = 0.18
    unrest_s: float = 20.0


@dataclass(frozen=True)
class Morphology:
    """What a patient's pattern looks like; ``Course`` says how it changes over time.

    Parameters
    ----------
    side : int
        -1 left, 1 right.
    site, spread_site : tuple of float
        Where it starts and where a seizure spreads to: polar angle and azimuth on the right.
    breadth : float
        How far from its site a hemisphere takes part, in units of the head's radius.
    tangential : float
        Opposite potential beside the site, relative to it.
    wander : float
        How far the field moves from cycle to cycle; 0 to 1.
    front : float
        Generalized patterns: larger in front (positive) or behind (negative).
    asymmetry : float
        Generalized patterns: what the smaller side lacks.
    lag_s, back_lag_s : float
        One hemisphere after the other; the back after the front.
    independent : float
        Height of a second, independent focus on the other side.
    phases : tuple of (centre_s, width_s, height)
        The parts of a discharge; negative is up on paper.
    variety : float
        Spread of the parts from discharge to discharge.
    height_spread, stretch_spread : float
        Log spreads of height and duration from cycle to cycle.
    missing : float
        Share of cycles that are left out.
    jitter, regularity : float
        Onset within the cycle, in cycles; log spread of the interval.
    harmonics : float
        How notched rhythmic waves are.
    skew : float
        How much steeper one slope of rhythmic waves is; -0.8 to 0.8.
    fast, fast_hz : float
        Fast activity that rides on the pattern (ACNS +F), relative to its height.
    sharp : float
        Share of rhythmic waves with a sharp wave on top (ACNS +S).
    height_uv : float
        Peak to trough in the largest bipolar derivation at full prominence; ACNS calls less
        than 50 uV low, 150 uV and more high.
    weak, brief, irregular : float
        How a pattern near the boundary of prominence falls short, each 0 to 1: by its height,
        by how much of the time it covers, by its regularity.
    """

    side: int = 1
    site: Position = (85.0, 10.0)
    spread_site: Position = (60.0, 60.0)
    breadth: float = 0.9
    tangential: float = 0.0
    wander: float = 0.0
    front: float = 0.5
    asymmetry: float = 0.0
    lag_s: float = 0.015
    back_lag_s: float = 0.0
    independent: float = 0.0
    phases: tuple[Phase, ...] = ((0.06, 0.035, -1.0), (0.27, 0.09, 0.45))
    variety: float = 0.0
    height_spread: float = 0.1
    stretch_spread: float = 0.0
    missing: float = 0.0
    jitter: float = 0.0
    regularity: float = 0.1
    harmonics: float = 0.1
    skew: float = 0.0
    fast: float = 0.0
    fast_hz: float = 14.0
    sharp: float = 0.0
    height_uv: float = 100.0
    weak: float = 1.0
    brief: float = 0.4
    irregular: float = 0.0


@dataclass(frozen=True)
class Seizure:
    """How a patient's seizures run.

    Parameters
    ----------
    rates_hz : tuple of float
        Repetitions per second at their start, middle and end.
    heights : tuple of float
        Relative heights there.
    sharpness : float or None
        Of the waves; None: as the pattern's.
    length_s : float
    spread : float
        How much of it reaches the second site and the other side.
    pause : float
        How much of the background and the pattern is gone afterwards.
    """

    rates_hz: tuple[float, float, float] = (5.0, 3.0, 1.8)
    heights: tuple[float, float, float] = (0.7, 1.3, 1.5)
    sharpness: float | None = None
    length_s: float = 70.0
    spread: float = 0.7
    pause: float = 0.0


@dataclass(frozen=True)
class Amplifier:
    """What lies between electrodes and file.

    Parameters
    ----------
    highpass_hz, lowpass_hz, notch_hz : float
        Cut-offs; 0: none.
    order : int
        Of the low-pass.
    gains : float
        Log spread of the electrodes' gains.
    """

    highpass_hz: float = 0.0
    lowpass_hz: float = 0.0
    notch_hz: float = 0.0
    order: int = 2
    gains: float = 0.0


@dataclass(frozen=True)
class Patient:
    """What stays the same over a patient's recordings.

    Parameters
    ----------
    artefacts : dict
        Name in ``ARTEFACTS`` → how often or how strong; what is not in it does not occur.
    """

    background: Background = field(default_factory=Background)
    morphology: Morphology = field(default_factory=Morphology)
    seizure: Seizure = field(default_factory=Seizure)
    amplifier: Amplifier = field(default_factory=Amplifier)
    artefacts: dict[str, float] = field(default_factory=dict)


def stream(key: int, name: str) -> np.random.Generator:
    """The random numbers of one source; they do not depend on what other sources draw."""
    return np.random.default_rng([key, crc32(name.encode())])


def draw_patient(rng: np.random.Generator, leave_out: Iterable[str] = ()) -> Patient:
    """A patient; sources that are left out keep the plain value, and their artefacts away.

    Parameters
    ----------
    rng : Generator
    leave_out : iterable of str
        Names of ``variation.source_names()``.
    """
    key = int(rng.integers(2**63))
    patient = Patient(morphology=Morphology(side=1 if key % 2 else -1))
    for name in sorted(set(VARIATIONS) - set(leave_out)):
        part, draw = VARIATIONS[name]
        changed = replace(getattr(patient, part), **draw(stream(key, name)))
        patient = replace(patient, **{part: changed})
    amounts = {}
    for name in sorted(set(ARTEFACTS) - set(leave_out)):
        own = stream(key, name)
        if own.random() < ARTEFACTS[name].share:
            amounts[name] = float(own.lognormal(-0.3, 0.7))
    return replace(patient, artefacts=amounts)
