"""Signals that are missing, dead, saturated or impossible."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...catalogue import entry_maker
from ...data.write import write_eeg, write_spectrogram
from ...schema import ELECTRODES, SFREQ
from .desk import DEFECTS, Desk

EDGE = int(20 * SFREQ)  # every window reaches at least 10 s beyond both edges of 20 s
# Changes an EEG, array of shape (20, n_times), in place; gives the detail and its size.
Change = Callable[[np.ndarray, np.random.Generator], tuple[str, float]]


def _defect(name: str, rule: str) -> Callable[[Change], Change]:
    """Register a change of an untouched EEG's signal."""

    def plant(change: Change, desk: Desk, name: str) -> None:
        key = desk.take_eeg()
        eeg = desk.eeg(key)
        detail, value = change(eeg, desk.rng)
        write_eeg(desk.path("eeg", key), eeg, simulated=True)
        desk.record_windows("eeg", key, rule, detail, variant=name, value=value)

    return entry_maker(DEFECTS, lambda change: partial(plant, change), name)


def _one_electrode(rng: np.random.Generator) -> int:
    return int(rng.integers(len(ELECTRODES)))


@_defect("nan_block", "missing_values")
def nan_block(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """Every channel is missing but for the first and last 20 s."""
    eeg[:, EDGE:-EDGE] = np.nan
    return "all but 20 s at both ends is NaN", 0.0


@_defect("nan_channel", "missing_values")
def nan_channel(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """One electrode is missing throughout."""
    channel = _one_electrode(rng)
    eeg[channel] = np.nan
    return f"{ELECTRODES[channel]} is NaN", 0.0


@_defect("nan_scattered", "missing_values")
def nan_scattered(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """A fifth of all samples is missing, here and there."""
    eeg[:, rng.random(eeg.shape[1]) < 0.2] = np.nan
    return "20 % of the samples are NaN", 0.2


def _rows_missing(desk: Desk, name: str, share: float) -> None:
    key = desk.take_spectrogram()
    spectrogram = desk.spectrogram(key)
    n = spectrogram.shape[2]
    length = int(n * share)
    start = (n - length) // 2  # every window of the recording holds the middle
    spectrogram[..., start : start + length] = np.nan
    write_spectrogram(desk.path("spectrogram", key), spectrogram)
    detail = f"{share:.0%} of the spectrogram's rows are NaN"
    desk.record_windows("spectrogram", key, "missing_values", detail, variant=name, value=share)


@DEFECTS.register("spectrogram_nan_rows")
def spectrogram_nan_rows(desk: Desk, name: str) -> None:
    """Rows in the middle of the spectrogram are missing."""
    _rows_missing(desk, name, float(np.round(desk.rng.uniform(0.25, 0.6), 2)))


@DEFECTS.register("spectrogram_nan_all")
def spectrogram_nan_all(desk: Desk, name: str) -> None:
    """The whole spectrogram is missing."""
    _rows_missing(desk, name, 1.0)


@_defect("dead_flat", "dead_channel")
def dead_flat(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """An electrode rests at one value."""
    channel = _one_electrode(rng)
    value = float(np.round(rng.normal(0, 40), 1))
    eeg[channel] = value
    return f"{ELECTRODES[channel]} is {value:g} uV throughout", value


@_defect("dead_zero", "dead_channel")
def dead_zero(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """Several electrodes are zero."""
    channels = rng.choice(len(ELECTRODES), size=int(rng.integers(2, 8)), replace=False)
    eeg[channels] = 0
    names = " ".join(ELECTRODES[c] for c in sorted(channels))
    return f"{names} are 0", float(len(channels))


@_defect("saturated_rails", "saturated")
def saturated_rails(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """An electrode swings between the amplifier's limits and rests there."""
    channel = _one_electrode(rng)
    rail = float(rng.choice([409.6, 819.2, 1638.4, 3276.7]))
    t = np.arange(eeg.shape[1]) / SFREQ
    swing = 3 * rail * np.sin(2 * np.pi * t * rng.uniform(0.3, 1.5) + rng.uniform(0, 6))
    eeg[channel] = np.rint(np.clip(swing + eeg[channel], -rail, rail) * 10) / 10
    return f"{ELECTRODES[channel]} rests at +-{rail:g} uV", rail


@_defect("extreme_channel", "extreme_amplitude")
def extreme_channel(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """An electrode of tens of thousands of microvolts."""
    channel = _one_electrode(rng)
    size = float(np.round(rng.uniform(20_000, 80_000)))
    steps = rng.standard_normal(eeg.shape[1] // 100 + 1).repeat(100)[: eeg.shape[1]]
    eeg[channel] += np.rint(steps * size)
    return f"{ELECTRODES[channel]} jumps by {size:g} uV", size


@_defect("extreme_all", "extreme_amplitude")
def extreme_all(eeg: np.ndarray, rng: np.random.Generator) -> tuple[str, float]:
    """The whole EEG in another unit: a thousand times too large."""
    eeg *= 1000
    return "all channels times 1000", 1000.0
