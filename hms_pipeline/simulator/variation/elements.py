"""Waves of the brain that are no pattern: of sleep, and what comes once in a while."""

from __future__ import annotations

import numpy as np

from ...schema import ELECTRODES, SFREQ
from ..head import electrode_positions, lead_field
from ..noise import slow_curve
from .catalogue import add_block, artefact, brief, event_starts, log_uniform


def _field_at(rng: np.random.Generator, names: tuple[str, ...], depth: float) -> np.ndarray:
    """Field of a source below one of the electrodes, array of shape (19,)."""
    place = electrode_positions()[[ELECTRODES.index(str(rng.choice(names)))]]
    return lead_field(place, depth)[:, 0]


@artefact("spindles", share=0.12)
def spindles(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """Sleep spindles: 11-15 Hz for 0.5-2 s over the vertex."""
    frequency = rng.uniform(11, 15)
    for start in event_starts(rng, eeg.shape[1], 4 * amount, 400):
        m = int(rng.uniform(0.5, 2.0) * SFREQ)
        wave = np.sin(2 * np.pi * frequency * np.arange(m) / SFREQ) * np.hanning(m)
        block = np.outer(_field_at(rng, ("Cz", "Fz"), 0.45), wave * rng.uniform(10, 45))
        add_block(eeg, start, None, block)


@brief("vertex_waves", share=0.12, per_minute=2.5, longest=400)
def vertex_waves(rng: np.random.Generator) -> np.ndarray:
    """Vertex waves and K-complexes: sharp, then slow, largest at Cz."""
    m = int(rng.uniform(0.3, 1.2) * SFREQ)
    part = np.arange(m) / m
    wave = -np.sin(2 * np.pi * part**0.7) * np.hanning(m) ** 0.5 * rng.uniform(30, 140)
    return np.outer(_field_at(rng, ("Cz", "Fz"), 0.5), wave)


@artefact("sporadic_discharges", share=0.22)
def sporadic_discharges(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """Single sharp waves or spikes with a slow wave, now and then."""
    names = tuple(str(name) for name in rng.choice(ELECTRODES, size=2, replace=False))
    width = log_uniform(rng, 0.01, 0.05)
    t = np.arange(200) / SFREQ
    for start in event_starts(rng, eeg.shape[1], 2.0 * amount, 400):
        sharp = -np.exp(-0.5 * ((t - 4 * width) / (width * rng.uniform(0.7, 1.4))) ** 2)
        slow = np.exp(-0.5 * ((t - 8 * width - 0.15) / 0.08) ** 2) * rng.uniform(0, 0.8)
        block = np.outer(_field_at(rng, names, 0.6), (sharp + slow) * log_uniform(rng, 25, 180))
        add_block(eeg, start, None, block)


@brief("slow_bursts", share=0.25, per_minute=1.5, longest=800)
def slow_bursts(rng: np.random.Generator) -> np.ndarray:
    """Short, ill-formed runs of delta or theta: no two waves alike."""
    m = int(rng.uniform(1.0, 4.0) * SFREQ)
    rate = log_uniform(rng, 1.0, 7.0) * np.exp(0.4 * slow_curve(rng, m, 0.5))
    wave = np.sin(2 * np.pi * np.cumsum(rate) / SFREQ) * np.hanning(m)
    wave *= np.exp(0.4 * slow_curve(rng, m, 0.4)) * log_uniform(rng, 15, 80)
    return np.outer(_field_at(rng, ELECTRODES, rng.uniform(0.35, 0.65)), wave)
