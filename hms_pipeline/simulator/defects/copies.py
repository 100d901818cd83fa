"""The same signal more than once."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow.parquet as pq

from ...data.write import write_eeg
from ...schema import ELECTRODES, SFREQ
from .desk import DEFECTS, Desk


def _announce(desk: Desk, key: int, copy: int) -> None:
    """Rows of train.csv for a copy of an EEG: its first window."""
    row = desk.rows_of(key).iloc[0]
    desk.append(row, eeg_id=copy, eeg_sub_id=0)


@DEFECTS.register("eeg_file_twice")
def eeg_file_twice(desk: Desk, name: str) -> None:
    """The same file under two ids."""
    key, copy = desk.take_eeg(), desk.new_id()
    shutil.copyfile(desk.path("eeg", key), desk.path("eeg", copy))
    _announce(desk, key, copy)
    desk.record("eeg", copy, "exact_duplicate", f"the file of eeg {key}", variant=name, partner=key)


@DEFECTS.register("eeg_signal_twice")
def eeg_signal_twice(desk: Desk, name: str) -> None:
    """The same samples in a file with other bytes."""
    key, copy = desk.take_eeg(), desk.new_id()
    pq.write_table(desk.read("eeg", key), desk.path("eeg", copy), compression="zstd")
    _announce(desk, key, copy)
    detail = f"the samples of eeg {key}"
    desk.record("eeg", copy, "exact_duplicate", detail, variant=name, partner=key)


@DEFECTS.register("spectrogram_file_twice")
def spectrogram_file_twice(desk: Desk, name: str) -> None:
    """The same spectrogram under two ids, one for each of two EEGs."""
    key, copy = desk.take_spectrogram(n_eegs=2), desk.new_id()
    shutil.copyfile(desk.path("spectrogram", key), desk.path("spectrogram", copy))
    rows = desk.rows_of(key, "spectrogram_id")
    moved = rows.index[rows["eeg_id"] == rows["eeg_id"].iloc[-1]]
    desk.set(moved, "spectrogram_id", copy)
    detail = f"the file of spectrogram {key}"
    desk.record("spectrogram", copy, "exact_duplicate", detail, variant=name, partner=key)


def _near(desk: Desk, key: int, name: str, eeg: np.ndarray, detail: str, value: float) -> None:
    copy = desk.new_id()
    write_eeg(desk.path("eeg", copy), np.rint(eeg * 10) / 10, simulated=True)
    _announce(desk, key, copy)
    detail = f"eeg {key} {detail}"
    more = {"variant": name, "partner": key, "value": value}
    desk.record("eeg", copy, "near_duplicate", detail, **more)


@DEFECTS.register("near_shift")
def near_shift(desk: Desk, name: str) -> None:
    """The same signal, starting a few seconds later."""
    key = desk.take_eeg(min_s=54)
    eeg = desk.eeg(key).astype(float)
    most_s = min(8.0, eeg.shape[1] / SFREQ - 50)
    shift_s = float(np.round(desk.rng.uniform(2, most_s), 2))
    shifted = eeg[:, int(shift_s * SFREQ) :]
    _near(desk, key, name, shifted, f"from second {shift_s:g} on", shift_s)


@DEFECTS.register("near_scale")
def near_scale(desk: Desk, name: str) -> None:
    """The same signal at another gain."""
    key = desk.take_eeg()
    gain = float(
        np.round(desk.rng.choice([desk.rng.uniform(0.5, 0.8), desk.rng.uniform(1.25, 2)]), 3)
    )
    _near(desk, key, name, desk.eeg(key).astype(float) * gain, f"times {gain:g}", gain)


@DEFECTS.register("near_noise")
def near_noise(desk: Desk, name: str) -> None:
    """The same signal with light noise: 5-20 % of each channel's spread."""
    key = desk.take_eeg()
    eeg = desk.eeg(key).astype(float)
    share = float(np.round(desk.rng.uniform(0.05, 0.2), 3))
    noise = desk.rng.standard_normal(eeg.shape) * eeg.std(axis=1, keepdims=True) * share
    noise[len(ELECTRODES) :] = 0
    _near(desk, key, name, eeg + noise, f"with noise of {share:g} of its spread", share)
