"""A recording in windows, and the spectrogram that it yields itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ..config.scoring import ScoringParams
from ..data.reading import Reader, Recording
from ..data.window import across_pauses, cut
from ..schema import (
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

ROW_SAMPLES = int(SPECTROGRAM_STEP_S * SFREQ)  # 400
ROW_REACH_S = 4.0  # seconds that one row covers; row j covers [2j, 2j + 4] s


def open_recording(
    path: Path,
    params: ScoringParams,
    rename: Mapping[str, str] | None = None,
    reader: Reader | None = None,
) -> Recording:
    """Open a parquet or clinical recording of at least one window.

    Parameters
    ----------
    path : Path
    params : ScoringParams
    rename : mapping of str to str, optional
        Label in the file → electrode.
    reader : Reader, optional
        By default it is read in this process.

    Raises
    ------
    InputError
        It is unreadable, its channels do not fit, or it is shorter than 50 s.
    """
    limits = params.model_dump(include={"max_interpolated", "max_disagreement", "amplitude_uv"})
    recording = (reader or Reader()).open(path, rename, limits)
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
        Row j covers [2j, 2j + 4] s and is centred at 2j + 2 s; NaN where that holds a pause.
    """
    n_rows = max(0, (recording.n_times - int(ROW_REACH_S * SFREQ)) // ROW_SAMPLES + 1)
    paused = paused_rows(recording, n_rows)
    out = np.full((len(REGIONS), len(SPECTROGRAM_BINS), n_rows), np.nan, dtype=np.float32)
    step = max(1, int(block_s / SPECTROGRAM_STEP_S))
    for first in range(0, n_rows, step):
        n = min(step, n_rows - first)
        # The recipe's row i covers [2i - 1, 2i + 3] s of what it is given: one second earlier
        # and one row more on both sides put row 1 at [2 * first, 2 * first + 4].
        start = first * ROW_SAMPLES - ROW_SAMPLES // 2
        stop = start + (n + 2) * ROW_SAMPLES
        if any(a <= start and stop <= b for a, b in recording.pauses):
            continue
        piece = recording.read(start, stop)
        rows = competition_spectrogram(torch.from_numpy(piece)[None])[0]
        out[:, :, first : first + n] = rows[:, :, 1 : n + 1].numpy()
    out[:, :, paused] = np.nan
    return out


def paused_rows(recording: Recording, n_rows: int) -> np.ndarray:
    """Which rows of a recording's spectrogram hold a pause, shape (n_rows,)."""
    starts = np.arange(n_rows) * ROW_SAMPLES
    return across_pauses(starts, int(ROW_REACH_S * SFREQ), recording.pauses)


def around(
    spectrogram: np.ndarray, start: int, coverage: float, paused: np.ndarray
) -> np.ndarray | None:
    """The ten minutes of a recording's spectrogram around the window at sample ``start``.

    Parameters
    ----------
    spectrogram : ndarray, shape (4, 100, n_rows)
    start : int
    coverage : float
        Share of the ten minutes that must have been recorded.
    paused : ndarray, shape (n_rows,)
        Rows that count as not recorded.

    Returns
    -------
    ndarray, shape (4, 100, 300), or None
        NaN outside the recording; None where less than ``coverage`` of it is there.
    """
    # Ten minutes around the window's centre begin 275 s before it; the recipe's first row begins
    # one second before those.
    first = (start - int(276 * SFREQ)) // ROW_SAMPLES
    n_inside = int((~paused[max(first, 0) : max(first + SPECTROGRAM_ROWS, 0)]).sum())
    if n_inside < coverage * SPECTROGRAM_ROWS:
        return None
    return cut(spectrogram, first, SPECTROGRAM_ROWS)
