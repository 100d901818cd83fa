"""The heart."""

from __future__ import annotations

import numpy as np

from ...schema import SFREQ
from ..noise import slow_curve
from .catalogue import N_ELECTRODES, artefact, log_uniform


def heartbeat_table(n: int = 160) -> np.ndarray:
    """P, Q, R, S and T waves over 0.8 s at 200 Hz, R = 1."""
    t = np.arange(n) / SFREQ
    waves = ((0.12, 0.10, 0.025), (0.19, -0.12, 0.008), (0.215, 1.0, 0.010),
             (0.24, -0.22, 0.010), (0.44, 0.25, 0.045))  # fmt: skip
    return np.sum(
        [height * np.exp(-0.5 * ((t - at) / width) ** 2) for at, height, width in waves], axis=0
    )


def pulse_table(n: int = 100) -> np.ndarray:
    """The pulse wave at an electrode above an artery, 0.5 s: a steep rise and a slow fall."""
    part = np.arange(n) / n
    return np.sin(np.pi * part**0.6) ** 2


def _repeat(table: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    wave = np.zeros(n)
    for offset, value in enumerate(table):
        wave[places + offset] += value
    return wave


@artefact("ekg")
def ekg(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """The heart: the EKG channel, its bleed into electrodes, the pulse below one of them."""
    n = eeg.shape[1]
    interval = 60 / rng.uniform(50, 135) * SFREQ
    wobble = 0.03 if rng.random() < 0.85 else 0.18  # atrial fibrillation
    steps = interval * np.clip(
        1 + wobble * rng.standard_normal(int(n / interval * 1.2) + 2), 0.4, 2
    )
    places = np.cumsum(steps).astype(np.intp)
    places = places[places < n - 200]
    heart = _repeat(heartbeat_table(), places, n)
    heart *= rng.lognormal(np.log(500), 0.6) * rng.choice([-1, 1], p=[0.25, 0.75])
    eeg[N_ELECTRODES] += heart + slow_curve(rng, n, 2.5) * rng.lognormal(np.log(25), 0.5)
    gains = 0.007 * amount * rng.lognormal(0, 0.7) * (1 + 0.6 * rng.standard_normal(N_ELECTRODES))
    for channel, gain in zip(eeg, gains, strict=False):
        channel += gain * heart
    if rng.random() < 0.08:
        pulse = _repeat(pulse_table(), places, n) * log_uniform(rng, 8, 50)
        eeg[rng.integers(N_ELECTRODES)] += pulse
