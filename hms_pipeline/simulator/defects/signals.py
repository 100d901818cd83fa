"""Signals that are missing, dead, saturated or impossible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...data.write import write_eeg, write_spectrogram
from ...schema import ELECTRODES, SFREQ
from .desk import DEFECTS, Desk

EDGE = int(20 * SFREQ)  # every window reaches at least 10 s beyond both edges of 20 s
Change = Callable[[np.ndarray], None]  # in place, of an array of shape (20, n_times)


def _change(
    desk: Desk, name: str, rule: str, change: Change, detail: str, value: float = 0.0
) -> None:
    key = desk.take_eeg()
    eeg = desk.eeg(key)
    change(eeg)
    write_eeg(desk.path("eeg", key), eeg, simulated=True)
    desk.record_windows(key, rule, detail, variant=name, value=value)


@DEFECTS.register("nan_block")
def nan_block(desk: Desk, name: str) -> None:
    """Every channel is missing but for the first and last 20 s."""

    def change(eeg: np.ndarray) -> None:
        eeg[:, EDGE:-EDGE] = np.nan

    _change(desk, name, "missing_values", change, "all but 20 s at both ends is NaN")


@DEFECTS.register("nan_channel")
def nan_channel(desk: Desk, name: str) -> None:
    """One electrode is missing throughout."""
    channel = int(desk.rng.integers(len(ELECTRODES)))

    def change(eeg: np.ndarray) -> None:
        eeg[channel] = np.nan

    _change(desk, name, "missing_values", change, f"{ELECTRODES[channel]} is NaN")


@DEFECTS.register("nan_scattered")
def nan_scattered(desk: Desk, name: str) -> None:
    """A fifth of all samples is missing, here and there."""
    rng = desk.rng

    def change(eeg: np.ndarray) -> None:
        eeg[:, rng.random(eeg.shape[1]) < 0.2] = np.nan

    _change(desk, name, "missing_values", change, "20 % of the samples are NaN", 0.2)


def _rows_missing(desk: Desk, name: str, share: float) -> None:
    key = desk.take_spectrogram()
    spectrogram = desk.spectrogram(key)
    n = spectrogram.shape[2]
    length = int(n * share)
    start = (n - length) // 2  # every window of the recording holds the middle
    spectrogram[..., start : start + length] = np.nan
    write_spectrogram(desk.path("spectrogram", key), spectrogram)
    for label in desk.rows_of(key, "spectrogram_id")["label_id"]:
        detail = f"{share:.0%} of the spectrogram's rows are NaN"
        desk.record("window", label, "missing_values", detail, variant=name, value=share)


@DEFECTS.register("spectrogram_nan_rows")
def spectrogram_nan_rows(desk: Desk, name: str) -> None:
    """Rows in the middle of the spectrogram are missing."""
    _rows_missing(desk, name, float(np.round(desk.rng.uniform(0.25, 0.6), 2)))


@DEFECTS.register("spectrogram_nan_all")
def spectrogram_nan_all(desk: Desk, name: str) -> None:
    """The whole spectrogram is missing."""
    _rows_missing(desk, name, 1.0)


@DEFECTS.register("dead_flat")
def dead_flat(desk: Desk, name: str) -> None:
    """An electrode rests at one value."""
    channel = int(desk.rng.integers(len(ELECTRODES)))
    value = float(np.round(desk.rng.normal(0, 40), 1))

    def change(eeg: np.ndarray) -> None:
        eeg[channel] = value

    detail = f"{ELECTRODES[channel]} is {value:g} uV throughout"
    _change(desk, name, "dead_channel", change, detail, value)


@DEFECTS.register("dead_zero")
def dead_zero(desk: Desk, name: str) -> None:
    """Several electrodes are zero."""
    channels = desk.rng.choice(len(ELECTRODES), size=int(desk.rng.integers(2, 8)), replace=False)

    def change(eeg: np.ndarray) -> None:
        eeg[channels] = 0

    names = " ".join(ELECTRODES[c] for c in sorted(channels))
    _change(desk, name, "dead_channel", change, f"{names} are 0", float(len(channels)))


@DEFECTS.register("saturated_rails")
def saturated_rails(desk: Desk, name: str) -> None:
    """An electrode swings between the amplifier's limits and rests there."""
    channel = int(desk.rng.integers(len(ELECTRODES)))
    rail = float(desk.rng.choice([409.6, 819.2, 1638.4, 3276.7]))
    rng = desk.rng

    def change(eeg: np.ndarray) -> None:
        t = np.arange(eeg.shape[1]) / SFREQ
        swing = 3 * rail * np.sin(2 * np.pi * t * rng.uniform(0.3, 1.5) + rng.uniform(0, 6))
        eeg[channel] = np.rint(np.clip(swing + eeg[channel], -rail, rail) * 10) / 10

    detail = f"{ELECTRODES[channel]} rests at +-{rail:g} uV"
    _change(desk, name, "saturated", change, detail, rail)


@DEFECTS.register("extreme_channel")
def extreme_channel(desk: Desk, name: str) -> None:
    """An electrode of tens of thousands of microvolts."""
    channel = int(desk.rng.integers(len(ELECTRODES)))
    size = float(np.round(desk.rng.uniform(20_000, 80_000)))
    rng = desk.rng

    def change(eeg: np.ndarray) -> None:
        steps = rng.standard_normal(eeg.shape[1] // 100 + 1).repeat(100)[: eeg.shape[1]]
        eeg[channel] += np.rint(steps * size)

    detail = f"{ELECTRODES[channel]} jumps by {size:g} uV"
    _change(desk, name, "extreme_amplitude", change, detail, size)


@DEFECTS.register("extreme_all")
def extreme_all(desk: Desk, name: str) -> None:
    """The whole EEG in another unit: a thousand times too large."""

    def change(eeg: np.ndarray) -> None:
        eeg *= 1000

    _change(desk, name, "extreme_amplitude", change, "all channels times 1000", 1000.0)
