"""A recording in windows, and the spectrogram that it yields itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
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
BLOCK_SHAPE = len(REGIONS), len(SPECTROGRAM_BINS)
KEPT_ROWS = 3600  # rows kept for windows that share them, 6 MB: two hours


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


class OwnSpectrogram:
    """A recording's spectrogram by the published recipe, computed block by block when asked for.

    Parameters
    ----------
    recording : Recording
    block_s : float
        Seconds read at once.

    Attributes
    ----------
    n_rows : int
        Row j covers [2j, 2j + 4] s and is centred at 2j + 2 s.
    paused : ndarray, shape (n_rows,)
        Rows that hold a pause; their values are NaN.
    """

    def __init__(self, recording: Recording, block_s: float) -> None:
        self.n_rows = max(0, (recording.n_times - int(ROW_REACH_S * SFREQ)) // ROW_SAMPLES + 1)
        self.paused = paused_rows(recording, self.n_rows)
        self._step = max(1, int(block_s / SPECTROGRAM_STEP_S))
        # Nothing kept holds this object, so that all of it is freed with the last name for it.
        computed = partial(_block, recording, self.paused, self._step)
        self._block = lru_cache(2 + KEPT_ROWS // self._step)(computed)

    def rows(self, first: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows ``first`` to ``stop`` of the recording, shape (4, 100, n), float32."""
        stop = self.n_rows if stop is None else stop
        out = np.empty((*BLOCK_SHAPE, max(0, stop - first)), np.float32)
        for begins in range(first - first % self._step, stop, self._step):
            a, b = max(first, begins), min(stop, begins + self._step)
            out[..., a - first : b - first] = self._block(begins)[..., a - begins : b - begins]
        return out

    def reach(self, starts: np.ndarray) -> tuple[int, int]:
        """First and last row around windows at ascending samples; see ``around``."""
        first, last = _first_row(int(starts[0])), _first_row(int(starts[-1])) + SPECTROGRAM_ROWS
        begins = min(max(first, 0), self.n_rows)
        return begins, min(max(last, begins), self.n_rows)


def _block(recording: Recording, paused: np.ndarray, step: int, first: int) -> np.ndarray:
    """Rows ``first`` to ``first + step`` of a spectrogram, or to its end."""
    n = min(step, len(paused) - first)
    # The recipe's row i covers [2i - 1, 2i + 3] s of what it is given: one second earlier
    # and one row more on both sides put row 1 at [2 * first, 2 * first + 4].
    start = first * ROW_SAMPLES - ROW_SAMPLES // 2
    stop = start + (n + 2) * ROW_SAMPLES
    if any(a <= start and stop <= b for a, b in recording.pauses):
        return np.full((*BLOCK_SHAPE, n), np.nan, np.float32)
    piece = recording.read(start, stop)
    rows = competition_spectrogram(torch.from_numpy(piece)[None])[0]
    out = rows[:, :, 1 : n + 1].numpy().copy()  # a view would keep the rows at both ends
    out[:, :, paused[first : first + n]] = np.nan
    return out


def paused_rows(recording: Recording, n_rows: int) -> np.ndarray:
    """Which rows of a recording's spectrogram hold a pause, shape (n_rows,)."""
    starts = np.arange(n_rows) * ROW_SAMPLES
    return across_pauses(starts, int(ROW_REACH_S * SFREQ), recording.pauses)


def _first_row(start: int) -> int:
    # Ten minutes around the window's centre begin 275 s before it; the recipe's first row begins
    # one second before those.
    return (start - int(276 * SFREQ)) // ROW_SAMPLES


def around(
    spectrogram: np.ndarray, start: int, coverage: float, paused: np.ndarray, begins: int = 0
) -> np.ndarray | None:
    """The ten minutes of a recording's spectrogram around the window at sample ``start``.

    Parameters
    ----------
    spectrogram : ndarray, shape (4, 100, n)
        At least the rows that ``OwnSpectrogram.reach`` names.
    start : int
    coverage : float
        Share of the ten minutes that must have been recorded.
    paused : ndarray, shape (n_rows,)
        Rows of the recording that count as not recorded.
    begins : int
        The recording's row that comes first in ``spectrogram``.

    Returns
    -------
    ndarray, shape (4, 100, 300), or None
        NaN outside the recording; None where less than ``coverage`` of it is there. A view, where
        it lies inside: the windows of a batch overlap.
    """
    first = _first_row(start)
    n_inside = int((~paused[max(first, 0) : max(first + SPECTROGRAM_ROWS, 0)]).sum())
    if n_inside < coverage * SPECTROGRAM_ROWS:
        return None
    first -= begins
    if 0 <= first <= spectrogram.shape[2] - SPECTROGRAM_ROWS:
        return spectrogram[..., first : first + SPECTROGRAM_ROWS]
    return cut(spectrogram, first, SPECTROGRAM_ROWS)
