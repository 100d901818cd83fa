"""Electrodes, reference, mains and the amplifier's noise."""

from __future__ import annotations

import numpy as np

from ...schema import EEG_COLUMNS, SFREQ
from ..noise import slow_curve
from .catalogue import N_ELECTRODES, add_block, artefact, event_starts, log_uniform
from .muscle import cut_noise, muscle_table


def hum(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mains of 50 or 60 Hz, array of shape (n,)."""
    mains_hz = 60 if rng.random() < 0.65 else 50
    return np.sin(2 * np.pi * mains_hz * np.arange(n) / SFREQ + rng.uniform(0, 6))


@artefact("electrode_pop", share=0.6)
def electrode_pop(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """Sudden steps of one electrode that decay within a second."""
    for start in event_starts(rng, eeg.shape[1], 0.5 * amount, 600):
        m = int(rng.uniform(0.4, 3.0) * SFREQ)
        decay = np.exp(-np.arange(m) / SFREQ / rng.uniform(0.1, 0.6))
        height = rng.lognormal(np.log(120), 0.8) * rng.choice([-1, 1])
        channel = int(rng.integers(N_ELECTRODES))
        add_block(eeg, start, [channel], height * decay)


@artefact("sweat", share=0.4)
def sweat(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """Very slow sway (below 0.5 Hz) of a few electrodes at a time."""
    n = eeg.shape[1]
    for channel in range(N_ELECTRODES):
        if rng.random() < 0.5 * amount:
            block = slow_curve(rng, n, rng.uniform(1.5, 6)) * rng.lognormal(np.log(20), 0.8)
            add_block(eeg, 0, [channel], block)


@artefact("breathing", share=0.12)
def breathing(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """The ventilator moves the head: a sway with every breath, at electrodes behind."""
    n = eeg.shape[1]
    turn = np.cumsum(rng.uniform(0.2, 0.45) * np.exp(0.02 * slow_curve(rng, n, 4.0))) / SFREQ
    part = turn % 1.0
    wave = np.exp(-0.5 * ((part - 0.3) / rng.uniform(0.04, 0.15)) ** 2) * amount
    for channel in rng.choice(N_ELECTRODES, size=int(rng.integers(1, 5)), replace=False):
        block = wave * (rng.normal(0, 1) * log_uniform(rng, 8, 60))
        add_block(eeg, 0, [int(channel)], block)


@artefact("loose_electrode", share=0.5)
def loose_electrode(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """An electrode that rattles for 5-40 s: jumps, mains and noise of hundreds of microvolts."""
    for start in event_starts(rng, eeg.shape[1], 0.06 * amount, 2000):
        m = min(int(rng.uniform(5, 40) * SFREQ), eeg.shape[1] - start)
        jumps = slow_curve(rng, m, 0.4) * rng.lognormal(np.log(160), 0.6)
        block = jumps + hum(rng, m) * rng.uniform(5, 60)
        channel = int(rng.integers(N_ELECTRODES))
        add_block(eeg, start, [channel], block)


@artefact("noisy_electrode", share=0.25)
def noisy_electrode(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """One or two electrodes that are bad all along: noise, mains or drift."""
    n = eeg.shape[1]
    for channel in rng.choice(N_ELECTRODES, size=int(rng.integers(1, 3)), replace=False):
        kind = rng.integers(3)
        if kind == 0:
            block = cut_noise(rng, muscle_table(int(rng.integers(3))), n) * log_uniform(rng, 4, 30)
        elif kind == 1:
            block = hum(rng, n) * log_uniform(rng, 4, 60)
        else:
            block = slow_curve(rng, n, rng.uniform(0.15, 1.0)) * log_uniform(rng, 8, 60)
        add_block(eeg, 0, [int(channel)], block * amount)


@artefact("salt_bridge", share=0.04)
def salt_bridge(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """Paste joins two neighbours: both show their mean, or nearly so."""
    first = int(rng.integers(N_ELECTRODES - 1))
    pair = [first, first + 1]
    change = (eeg[pair].mean(axis=0) - eeg[pair]) * min(0.97, 0.8 * amount)
    add_block(eeg, 0, pair, change)


@artefact("mains", share=0.6)
def mains(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """50 or 60 Hz on every electrode, stronger on a few."""
    n = eeg.shape[1]
    wave = hum(rng, n)
    level = log_uniform(rng, 0.05, 15) * amount
    gains = level * rng.lognormal(0, 1.0, size=len(EEG_COLUMNS))
    for channel, gain in zip(eeg, gains, strict=True):
        if gain > 0.05:
            channel += gain * wave


@artefact("reference")
def reference(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """The reference electrode is on every channel alike; electrodes have offsets of their own.

    In some patients that electrode is noisy itself: muscle, mains or drift on every channel.
    """
    n = eeg.shape[1]
    common = amount * rng.lognormal(np.log(12), 0.9) * slow_curve(rng, n, rng.uniform(0.4, 2))
    common += rng.normal(0, 50)
    if rng.random() < 0.25:
        common += cut_noise(rng, muscle_table(0), n) * log_uniform(rng, 1, 20)
        common += hum(rng, n) * log_uniform(rng, 0.5, 20)
    for channel, offset in zip(eeg, rng.normal(0, 12, size=N_ELECTRODES), strict=False):
        channel += common + offset


@artefact("sensor")
def sensor(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> None:
    """The amplifier's white noise, about 1 uV."""
    for channel in eeg:
        # 256 levels of uniform noise: ten times as fast as normal numbers, and as white.
        levels = np.frombuffer(rng.bytes(len(channel)), np.uint8)
        channel += (levels - 127.5) * (3.6 * amount / 256)
