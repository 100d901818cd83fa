"""A window: 50 s of EEG and the 10 min of spectrogram around the same centre."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..schema import EEG_COLUMNS, SFREQ, SPECTROGRAM_ROWS, SPECTROGRAM_STEP_S, WINDOW_SAMPLES
from .competition import eeg_path, spectrogram_path
from .recording import read_eeg, read_spectrogram

BOTH = ("eeg", "spectrogram")


@dataclass(frozen=True)
class Window:
    """One labelled stretch of recording.

    Parameters
    ----------
    eeg : array, shape (20, 10000), float32
        Microvolts, NaN where missing.
    spectrogram : array, shape (4, 100, 300), float32, or None
        µV²/Hz, NaN where missing; None where there is no ten-minute spectrogram.
    """

    eeg: np.ndarray
    spectrogram: np.ndarray | None = None


def cut(array: np.ndarray, start: int, length: int) -> np.ndarray:
    """Slice the last axis; what lies outside the recording is NaN.

    Examples
    --------
    >>> cut(np.array([1.0, 2.0, 3.0]), -1, 3)
    array([nan,  1.,  2.])
    """
    n_times = array.shape[-1]
    first, last = max(start, 0), min(start + length, n_times)
    if (first, last) == (start, start + length):
        return array[..., first:last].copy()
    out = np.full((*array.shape[:-1], length), np.nan, array.dtype)
    if last > first:
        out[..., first - start : last - start] = array[..., first:last]
    return out


def across_pauses(
    starts: np.ndarray, n_samples: int, pauses: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Which stretches of ``n_samples`` hold a part of a pause, or samples from both its sides.

    Examples
    --------
    >>> across_pauses(np.array([0, 5, 10]), 5, [(5, 7)])
    array([False,  True, False])
    >>> across_pauses(np.array([0, 4, 5]), 5, [(5, 5)])
    array([False,  True, False])
    """
    found = np.zeros(len(starts), bool)
    for first, last in pauses:
        found |= (starts < last) & (starts + n_samples > first)
    return found


def eeg_start(offset_s: float) -> int:
    """First EEG sample of the window at ``offset_s``."""
    return round(offset_s * SFREQ)


def spectrogram_start(offset_s: float) -> int:
    """First spectrogram row of the window at ``offset_s``."""
    return int(offset_s // SPECTROGRAM_STEP_S)


class WindowReader:
    """Slices windows out of their recordings.

    Rows in which those of one recording lie together read it once. Make one reader per thread or
    process.

    Parameters
    ----------
    root : Path
        The competition folder.
    split : str
        ``"train"`` or ``"test"``.
    cache : int
        Recordings of each kind that stay in memory.
    """

    def __init__(self, root: Path, split: str = "train", cache: int = 2) -> None:
        self._eegs = lru_cache(cache)(lambda key: read_eeg(eeg_path(root, key, split)))
        self._spectrograms = lru_cache(cache)(
            lambda key: read_spectrogram(spectrogram_path(root, key, split))
        )

    def read(self, row: Mapping[str, Any] | Any, inputs: Collection[str] = BOTH) -> Window:
        """Cut the window of one row of train.csv or test.csv.

        Parameters
        ----------
        row : mapping, Series or named tuple
            ``eeg_id``, ``spectrogram_id``; with ``eeg_label_offset_seconds`` and
            ``spectrogram_label_offset_seconds`` where the table has them. Without, the
            central 50 s and 10 min are taken.
        inputs : collection of {"eeg", "spectrogram"}
            What of the window is wanted; the file of the other is not opened.

        Returns
        -------
        Window
            Padded with NaN where the recording does not reach. An EEG that is not wanted is
            zero, a spectrogram None.

        Raises
        ------
        InputError
            A file is missing or cannot be used.
        """
        eeg = self._eeg(row) if "eeg" in inputs else _no_eeg()
        return Window(eeg, self._spectrogram(row) if "spectrogram" in inputs else None)

    def _eeg(self, row: Mapping[str, Any] | Any) -> np.ndarray:
        eeg = self._eegs(int(_value(row, "eeg_id")))
        offset = _value(row, "eeg_label_offset_seconds")
        start = (eeg.shape[1] - WINDOW_SAMPLES) // 2 if offset is None else eeg_start(offset)
        return cut(eeg, start, WINDOW_SAMPLES)

    def _spectrogram(self, row: Mapping[str, Any] | Any) -> np.ndarray | None:
        key = _value(row, "spectrogram_id")
        if key is None:
            return None
        whole = self._spectrograms(int(key))
        offset = _value(row, "spectrogram_label_offset_seconds")
        central = (whole.shape[2] - SPECTROGRAM_ROWS) // 2
        start = central if offset is None else spectrogram_start(offset)
        return cut(whole, start, SPECTROGRAM_ROWS)


def _no_eeg() -> np.ndarray:
    return np.zeros((len(EEG_COLUMNS), WINDOW_SAMPLES), np.float32)


def _value(row: Mapping[str, Any] | Any, name: str) -> Any:
    value = row.get(name) if hasattr(row, "get") else getattr(row, name, None)
    return None if value is None or value != value else value
