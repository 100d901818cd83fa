"""One recording and its labelled stretches → EEG and spectrogram files, and rows of train.csv.

Windows that overlap share a file: an EEG file holds overlapping 50 s windows, a spectrogram file
overlapping ten-minute ones. Files are written in blocks, so memory does not grow with a recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...schema import (
    CLASS_LABELS,
    EEG_COLUMNS,
    EKG,
    LABEL_S,
    REGIONS,
    SFREQ,
    SPECTROGRAM_FREQS,
    SPECTROGRAM_ROWS,
    SPECTROGRAM_S,
    SPECTROGRAM_STEP_S,
    VOTE_COLUMNS,
    WINDOW_S,
    WINDOW_SAMPLES,
)
from ...signal.multitaper import competition_spectrogram
from ...system.errors import InputError
from ...system.files import hash_bytes
from ..competition import eeg_path, spectrogram_path
from ..reading import Recording
from ..window import across_pauses
from ..write import ROW_GROUP, write_eeg, write_spectrogram
from .labels import LeftOut

ROW = round(SPECTROGRAM_STEP_S * SFREQ)  # samples of a spectrogram's row
TEN_MINUTES = SPECTROGRAM_ROWS * ROW
BEFORE_LABEL = round((WINDOW_S - LABEL_S) / 2 * SFREQ)  # from a window's start to its label
# From the start of its ten minutes to the window's.
BEFORE_WINDOW = round((SPECTROGRAM_S - WINDOW_S) / 2 * SFREQ)
# Most that one file holds from its first window's start to its last one's.
LONGEST_EEG = round(1800 * SFREQ)
LONGEST_SPECTROGRAM = round(6 * 3600 * SFREQ)
ROWS_AT_ONCE = 150
HEART = EEG_COLUMNS.index(EKG)


@dataclass
class Cut:
    """What one recording gave.

    Parameters
    ----------
    rows : list of dict
        Rows of train.csv but for the patient, with ``start_s``: where the labelled 10 s begin.
    left_out : list of LeftOut
        Stretches.
    paths : list of Path
        Files written.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def new(self, path: Path) -> Path:
        """Note a file that will be written; raises InputError where one has its number."""
        if path.exists():
            raise InputError(
                f"Two recordings gave the number {path.stem} by chance. Import them apart."
            )
        self.paths.append(path)
        return path

    def leave_out(self, window: int, kind: str, reason: str) -> None:
        """Note that the window at a sample was left out."""
        start_s = (window + BEFORE_LABEL) / SFREQ
        self.left_out.append(LeftOut("", None, start_s, kind, reason))


def cut_recording(
    recording: Recording,
    votes: Mapping[int, tuple[int, ...]],
    content: str,
    root: Path,
    spectrogram_missing: float,
    cut: Cut,
) -> None:
    """Write the files of one recording.

    Parameters
    ----------
    recording : Recording
    votes : mapping of int to tuple of int
        First sample of a labelled 10 s → six votes.
    content : str
        Hash of the recording's content, of which the ids are made.
    root : Path
        The folder that gets ``train_eegs`` and ``train_spectrograms``.
    spectrogram_missing : float
        Largest share of a window's ten minutes that may not have been recorded.
    cut : Cut
        Is filled; where reading fails it holds what was written until then.

    Raises
    ------
    InputError
        A stretch of the recording cannot be read.
    """
    windows = {start - BEFORE_LABEL: given for start, given in votes.items()}
    inside = [w for w in windows if _fits(w, recording, spectrogram_missing, cut)]
    for part in _overlapping(inside, TEN_MINUTES, LONGEST_SPECTROGRAM):
        offsets = {w: SPECTROGRAM_STEP_S * round((w - part[0]) / ROW) for w in part}
        first = part[0] - BEFORE_WINDOW
        n_rows = int(max(offsets.values()) / SPECTROGRAM_STEP_S) + SPECTROGRAM_ROWS
        spectrogram = spectrogram_of(recording, first, n_rows)
        part = [w for w in part if _enough(spectrogram, w, offsets[w], spectrogram_missing, cut)]
        spectrogram_id = make_id("spectrogram", content, first, n_rows)
        rows = []
        for piece in _overlapping(part, WINDOW_SAMPLES, LONGEST_EEG):
            rows += _cut_eeg(recording, piece, content, root, cut)
        for sub_id, row in enumerate(rows):
            window = row.pop("window")
            row |= {
                "spectrogram_id": spectrogram_id,
                "spectrogram_sub_id": sub_id,
                "spectrogram_label_offset_seconds": offsets[window],
                "label_id": make_id("label", content, window),
                "expert_consensus": CLASS_LABELS[int(np.argmax(windows[window]))],
                "start_s": (window + BEFORE_LABEL) / SFREQ,
                **dict(zip(VOTE_COLUMNS, windows[window], strict=True)),
            }
        if rows:
            write_spectrogram(cut.new(spectrogram_path(root, spectrogram_id)), spectrogram)
            cut.rows += rows


def make_id(*parts: str | int) -> int:
    """A number of 52 bits, made of what it stands for alone, so that it never changes."""
    return int(hash_bytes(*(str(part).encode() for part in parts))[:13], 16)


def spectrogram_of(recording: Recording, start: int, n_rows: int) -> np.ndarray:
    """Rows of the published recipe from any sample on.

    Parameters
    ----------
    recording : Recording
    start : int
        Sample, which may lie before the recording; row 0 is the 2 s from there.
    n_rows : int

    Returns
    -------
    ndarray, shape (4, 100, n_rows), float32
        µV²/Hz. A row is NaN where its 2 s were not recorded or it looks at a pause; the second on
        both sides of it that it also looks at is the signal's reflection at the recording's ends.
    """
    out = np.empty((len(REGIONS), len(SPECTROGRAM_FREQS), n_rows), np.float32)
    for first in range(0, n_rows, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, n_rows - first)
        at = start + (first - 1) * ROW
        piece = torch.from_numpy(_mirrored(recording, at, at + (n + 2) * ROW))
        out[..., first : first + n] = competition_spectrogram(piece[None])[0, ..., 1:-1].numpy()
    inside = start + ROW * np.arange(n_rows)
    paused = across_pauses(inside - ROW // 2, 2 * ROW, recording.pauses)
    out[..., (inside < 0) | (inside + ROW > recording.n_times) | paused] = np.nan
    return out


def _mirrored(recording: Recording, start: int, stop: int) -> np.ndarray:
    """A stretch of a recording whose ends are continued by their reflection for one second."""
    piece, n_times, second = recording.read(start, stop), recording.n_times, ROW // 2
    if start < 0 < stop:
        n = min(second, -start)
        piece[:, -start - n : -start] = recording.read(1, n + 1)[:, ::-1]
    if start < n_times < stop:
        n, end = min(second, stop - n_times), n_times - start
        piece[:, end : end + n] = recording.read(n_times - 1 - n, n_times - 1)[:, ::-1]
    return piece


def _fits(window: int, recording: Recording, spectrogram_missing: float, cut: Cut) -> bool:
    """Whether a window's 50 s were recorded without a pause, and enough of its ten minutes."""
    n_times = recording.n_times
    if window < 0 or window + WINDOW_SAMPLES > n_times:
        cut.leave_out(
            window, "outside the recording",
            f"The 50 s around the labelled 10 s begin at {window / SFREQ:g} s, but the recording"
            f" holds 0 to {n_times / SFREQ:g} s.",
        )  # fmt: skip
        return False
    if across_pauses(np.array([window]), WINDOW_SAMPLES, recording.pauses)[0]:
        cut.leave_out(window, "pause", "The recording pauses in the 50 s around it.")
        return False
    first = window - BEFORE_WINDOW
    absent = max(0, -first) + max(0, first + TEN_MINUTES - n_times)
    if absent > spectrogram_missing * TEN_MINUTES:
        cut.leave_out(
            window, "under ten minutes",
            f"{absent / SFREQ:g} s of the ten minutes around it lie outside the recording; the"
            f" recipe allows {spectrogram_missing * SPECTROGRAM_S:g} s.",
        )  # fmt: skip
        return False
    return True


def _enough(
    spectrogram: np.ndarray, window: int, offset_s: float, most_missing: float, cut: Cut
) -> bool:
    row = int(offset_s / SPECTROGRAM_STEP_S)
    rows = spectrogram[..., row : row + SPECTROGRAM_ROWS]
    missing = 1 - np.isfinite(rows).all(axis=(0, 1)).mean()
    if missing > most_missing:
        cut.leave_out(
            window, "under ten minutes",
            f"{missing:.1%} of the ten minutes around it were not recorded; the recipe allows"
            f" {most_missing:.1%}.",
        )  # fmt: skip
    return bool(missing <= most_missing)


def _overlapping(starts: Sequence[int], length: int, longest: int) -> Iterator[list[int]]:
    """Sorted starts in groups whose stretches of ``length`` overlap; none too long."""
    group: list[int] = []
    for start in starts:
        if group and (start - group[-1] >= length or start - group[0] > longest):
            yield group
            group = []
        group.append(start)
    if group:
        yield group


def _cut_eeg(
    recording: Recording, windows: Sequence[int], content: str, root: Path, cut: Cut
) -> list[dict[str, Any]]:
    """Write one EEG file; the rows of its windows without missing samples."""
    start, stop = windows[0], windows[-1] + WINDOW_SAMPLES
    eeg_id = make_id("eeg", content, start, stop)
    path = cut.new(eeg_path(root, eeg_id))
    missing: list[np.ndarray] = []
    write_eeg(path, _blocks(recording, start, stop, missing))
    gone = np.concatenate(missing, axis=1)
    rows: list[dict[str, Any]] = []
    for window in windows:
        lost: Any = gone[:, window - start : window - start + WINDOW_SAMPLES].any(axis=1)
        if lost.any():
            names = [name for name, is_lost in zip(EEG_COLUMNS, lost, strict=True) if is_lost]
            cut.leave_out(window, "pause", f"Its 50 s have missing samples in {names}.")
            continue
        rows.append(
            {
                "window": window,
                "eeg_id": eeg_id,
                "eeg_sub_id": len(rows),
                "eeg_label_offset_seconds": (window - start) / SFREQ,
            }
        )
    if not rows:
        path.unlink()
        cut.paths.remove(path)
    return rows


def _blocks(
    recording: Recording, start: int, stop: int, missing: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """The stretch in blocks; where electrodes lack samples is noted for each."""
    for first in range(start, stop, ROW_GROUP):
        block = recording.read(first, min(first + ROW_GROUP, stop))
        # No view reads the EKG: without one its column is 0, and no window is lost for it.
        block[HEART] = np.nan_to_num(block[HEART], nan=0.0, posinf=0.0, neginf=0.0)
        missing.append(~np.isfinite(block))
        yield block
