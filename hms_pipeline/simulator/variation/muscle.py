"""Muscle and movement."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.signal import butter, sosfilt

from ...schema import SFREQ
from ..head import electrode_positions
from ..noise import slow_curve
from .catalogue import N_ELECTRODES, artefact, brief, log_uniform

TABLE = 2**17
LOW_CUTS_HZ = (12.0, 20.0, 35.0)


@cache
def muscle_table(kind: int) -> np.ndarray:
    """Noise of unit variance above ``LOW_CUTS_HZ[kind]``, array of shape (2 ** 17,)."""
    noise = np.random.default_rng([kind, 0x3E6]).standard_normal(TABLE)
    noise = sosfilt(butter(2, LOW_CUTS_HZ[kind], "high", fs=SFREQ, output="sos"), noise)
    return (noise / noise.std()).astype(np.float32)


def cut_noise(rng: np.random.Generator, table: np.ndarray, n: int) -> np.ndarray:
    """A stretch of a noise table from a random place on, either way up, array of shape (n,)."""
    start = int(rng.integers(len(table)))
    repeats = (start + n) // len(table) + 1
    noise = table[start : start + n] if repeats == 1 else np.tile(table, repeats)[start : start + n]
    return noise if rng.random() < 0.5 else -noise


def _near_muscles(rng: np.random.Generator) -> np.ndarray:
    """Gains of electrodes: low on the head, around some place."""
    places = electrode_positions()
    centre = places[rng.integers(N_ELECTRODES)]
    distance = np.linalg.norm(places - centre, axis=1)
    gains = np.clip(1 - places[:, 2], 0.08, None) * np.exp(-rng.uniform(0.3, 2.2) * distance)
    return gains * rng.lognormal(0, 0.5, N_ELECTRODES)


@artefact("muscle_tone", share=0.7)
def muscle_tone(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """Muscle that never rests: fast noise, stronger and weaker over minutes."""
    n = eeg.shape[1]
    table = muscle_table(int(rng.integers(len(LOW_CUTS_HZ))))
    gains = _near_muscles(rng) * log_uniform(rng, 0.4, 30) * amount
    envelope = np.exp(0.6 * slow_curve(rng, n, rng.uniform(3, 25)))
    for channel, gain in zip(eeg, gains, strict=False):
        if gain > 0.2:  # else it drowns in the amplifier's noise
            channel += gain * (cut_noise(rng, table, n) * envelope)


@brief("muscle", share=0.6, per_minute=1.4, longest=400)
def muscle(rng: np.random.Generator) -> np.ndarray:
    """Bursts of muscle activity, each 0.5 to 12 s long."""
    m = int(rng.uniform(0.5, 12) * SFREQ)
    noise = np.stack([cut_noise(rng, muscle_table(1), m) for _ in range(N_ELECTRODES)])
    block = _near_muscles(rng)[:, None] * noise * np.sqrt(np.hanning(m))
    return block * rng.lognormal(np.log(18), 0.7)


@brief("chewing", share=0.1, per_minute=0.7, longest=2000)
def chewing(rng: np.random.Generator) -> np.ndarray:
    """Rhythmic bursts of muscle with a slow wave of the tongue, 0.7 to 2.5 a second."""
    places = electrode_positions()
    m = int(rng.uniform(4, 30) * SFREQ)
    turn = np.cumsum(rng.uniform(0.7, 2.5) * np.exp(0.12 * slow_curve(rng, m, 1.0)))
    beat = np.clip(np.sin(2 * np.pi * turn / SFREQ), 0, 1) ** rng.uniform(1, 4)
    noise = np.stack([cut_noise(rng, muscle_table(0), m) for _ in range(N_ELECTRODES)])
    gains = np.clip(1 - places[:, 2], 0.1, None) * rng.lognormal(0, 0.4, N_ELECTRODES)
    block = gains[:, None] * noise * (beat * log_uniform(rng, 8, 60))
    block += np.outer(np.clip(places[:, 1], 0, None), beat * rng.uniform(0, 40))
    return block * np.hanning(m) ** 0.3


@brief("movement", share=0.3, per_minute=0.4, longest=1000)
def movement(rng: np.random.Generator) -> np.ndarray:
    """The head moves: large slow waves, different at every electrode, for seconds."""
    m = int(rng.uniform(1, 7) * SFREQ)
    sway = np.stack([slow_curve(rng, m, rng.uniform(0.15, 0.8)) for _ in range(3)])
    mixing = rng.standard_normal((N_ELECTRODES, 3)) * log_uniform(rng, 10, 150)
    return (mixing @ sway) * np.hanning(m)


@brief("rhythmic_movement", share=0.07, per_minute=0.5, longest=2000)
def rhythmic_movement(rng: np.random.Generator) -> np.ndarray:
    """Patting, physiotherapy, tremor: a rhythm of 1.5 to 6 Hz at a few electrodes."""
    places = electrode_positions()
    m = int(rng.uniform(3, 25) * SFREQ)
    turn = 2 * np.pi * np.cumsum(np.full(m, log_uniform(rng, 1.5, 6)) / SFREQ)
    wave = np.sin(turn) + rng.uniform(0, 0.7) * np.sin(2 * turn + rng.uniform(0, 6))
    wave *= np.exp(0.4 * slow_curve(rng, m, 1.0)) * np.hanning(m) ** 0.3
    near = np.linalg.norm(places - places[rng.integers(N_ELECTRODES)], axis=1)
    gains = np.exp(-((near / 0.5) ** 2)) * rng.normal(0, 1, N_ELECTRODES)
    return np.outer(gains, wave) * log_uniform(rng, 12, 60)
