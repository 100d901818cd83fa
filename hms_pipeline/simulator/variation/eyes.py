"""Eyes: blinks, saccades, slow roving."""

from __future__ import annotations

import numpy as np

from ...schema import SFREQ
from ..head import electrode_positions
from ..noise import slow_curve
from .catalogue import brief


def frontal_field() -> np.ndarray:
    """How an eye's vertical dipole falls off from the front to the back, array of shape (19,)."""
    return np.exp(2.6 * (electrode_positions()[:, 1] - 1))


def lateral_field() -> np.ndarray:
    """The field of both eyes looking aside: opposite signs at F7 and F8, array of shape (19,)."""
    return frontal_field() * electrode_positions()[:, 0] * 1.6


@brief("blink", share=0.45, per_minute=8, longest=100)
def blink(rng: np.random.Generator) -> np.ndarray:
    """Bell-shaped positive waves of 0.2-0.4 s over the frontal poles."""
    m = int(rng.uniform(0.22, 0.45) * SFREQ)
    wave = np.hanning(m) ** 1.5 * rng.uniform(40, 220)
    return np.outer(frontal_field(), wave)


@brief("eye_movement", share=0.4, per_minute=4, longest=400)
def eye_movement(rng: np.random.Generator) -> np.ndarray:
    """Lateral saccades: steps of opposite sign at F7 and F8 that decay."""
    m = int(rng.uniform(0.6, 2.0) * SFREQ)
    t = np.arange(m) / SFREQ
    wave = np.minimum(t / 0.05, 1) * np.exp(-t / 0.6) * rng.uniform(30, 90)
    wave *= rng.choice([-1, 1])
    return np.outer(lateral_field(), wave)


@brief("roving_eyes", share=0.12, per_minute=0.6, longest=2000)
def roving_eyes(rng: np.random.Generator) -> np.ndarray:
    """Slow rolling of the eyes from side to side, for half a minute or so."""
    m = int(rng.uniform(8, 40) * SFREQ)
    wave = slow_curve(rng, m, rng.uniform(0.8, 2.0)) * rng.uniform(15, 50) * np.hanning(m)
    return np.outer(lateral_field(), wave)
