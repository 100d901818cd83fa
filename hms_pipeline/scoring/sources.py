"""Recordings of any kind, read piece by piece, and the spectrogram that they yield themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ..config.scoring import ScoringParams
from ..data.clinical import open_clinical
from ..data.recording import open_parquet, read_eeg
from ..data.window import cut
from ..schema import (
    EEG_COLUMNS,
    REGIONS,
    SFREQ,
    SPECTROGRAM_BINS,
    SPECTROGRAM_ROWS,
    SPECTROGRAM_STEP_S,
    WINDOW_S,
    WINDOW_SAMPLES,
)
from ..signal.multitaper import competition_spectrogram
from ..system.errors import InputError
from .content import is_parquet

ROW_SAMPLES = int(SPECTROGRAM_STEP_S * SFREQ)  # 400
ROW_REACH_S = 4.0  # what one row covers; row j here covers [2j, 2j + 4] s


class Recording(Protocol):
    """What scoring needs of a recording: any stretch of it at 200 Hz."""

    name: str
    n_times: int
    warnings: tuple[str, ...]

    def read(self, start: int, stop: int) -> np.ndarray: ...


@dataclass(frozen=True)
class ParquetRecording:
    """An EEG parquet of any length, read by row groups."""

    path: Path
    n_times: int
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path) -> ParquetRecording:
        read_eeg(path, 0, 1)  # columns and types, before the length
        return cls(path, open_parquet(path, path.name).metadata.num_rows)

    @property
    def name(self) -> str:
        return self.path.name

    def read(self, start: int, stop: int) -> np.ndarray:
        first = max(start, 0)
        if first >= min(stop, self.n_times):
            return np.full((len(EEG_COLUMNS), stop - start), np.nan, dtype=np.float32)
        return cut(read_eeg(self.path, first, stop), start - first, stop - start)


def open_recording(
    path: Path, params: ScoringParams, rename: Mapping[str, str] | None = None
) -> Recording:
    """Open a parquet or clinical recording of at least one window.

    Raises
    ------
    InputError
        It is unreadable, its channels do not fit, or it is shorter than 50 s.
    """
    recording: Recording = (
        ParquetRecording.open(path)
        if is_parquet(path)
        else open_clinical(
            path,
            rename,
            max_interpolated=params.max_interpolated,
            max_disagreement=params.max_disagreement,
            amplitude_uv=params.amplitude_uv,
        )
    )
    if recording.n_times < WINDOW_SAMPLES:
        raise InputError(
            f"A window needs {WINDOW_S:g} s of EEG at {SFREQ:g} Hz, but {recording.name} has"
            f" {recording.n_times / SFREQ:g} s. Give a longer recording."
        )
    return recording


def window_starts(n_times: int, hop_s: int) -> np.ndarray:
    """First samples of the windows that lie wholly inside.

    Examples
    --------
    >>> window_starts(14_000, 10)
    array([   0, 2000, 4000])
    """
    return np.arange(0, n_times - WINDOW_SAMPLES + 1, int(hop_s * SFREQ))


def own_spectrogram(recording: Recording, block_s: float) -> np.ndarray:
    """The recording's spectrogram by the published recipe.

    Parameters
    ----------
    recording : Recording
    block_s : float
        Seconds read at once.

    Returns
    -------
    ndarray, shape (4, 100, n_rows), float32
        Row j covers [2j, 2j + 4] s and is centred at 2j + 2 s.
    """
    n_rows = max(0, (recording.n_times - int(ROW_REACH_S * SFREQ)) // ROW_SAMPLES + 1)
    out = np.full((len(REGIONS), len(SPECTROGRAM_BINS), n_rows), np.nan, dtype=np.float32)
    step = max(1, int(block_s / SPECTROGRAM_STEP_S))
    for first in range(0, n_rows, step):
        n = min(step, n_rows - first)
        # The recipe's row i covers [2i - 1, 2i + 3] s of what it is given: one second earlier
        # and one row more on both sides put row 1 at [2 * first, 2 * first + 4].
        start = first * ROW_SAMPLES - ROW_SAMPLES // 2
        piece = recording.read(start, start + (n + 2) * ROW_SAMPLES)
        rows = competition_spectrogram(torch.from_numpy(piece)[None])[0]
        out[:, :, first : first + n] = rows[:, :, 1 : n + 1].numpy()
    return out


def around(spectrogram: np.ndarray, start: int, coverage: float) -> np.ndarray | None:
    """The ten minutes of a recording's spectrogram around the window at sample ``start``.

    Returns
    -------
    ndarray, shape (4, 100, 300), or None
        NaN outside the recording; None where less than ``coverage`` of it is there.
    """
    # Ten minutes around the window's centre begin 275 s before it; the recipe's first row begins
    # one second before those.
    first = (start - int(276 * SFREQ)) // ROW_SAMPLES
    n_inside = min(first + SPECTROGRAM_ROWS, spectrogram.shape[2]) - max(first, 0)
    if n_inside < coverage * SPECTROGRAM_ROWS:
        return None
    return cut(spectrogram, first, SPECTROGRAM_ROWS)
