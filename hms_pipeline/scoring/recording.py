"""A whole recording in sliding windows: a timeline of six probabilities.

The recording is read piece by piece, and its spectrogram computed block by block, so that a day of
EEG needs no more memory than an hour. The ten-minute spectrograms follow the published recipe, on a
grid of 2 s on which every window's centre falls between the same samples as in the competition's
files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from ..config.scoring import ScoringParams
from ..data.clinical_annotations import write_annotations as write_marks
from ..data.content import anonymous_id, is_parquet
from ..data.reading import Recording
from ..data.window import Window, across_pauses
from ..ensemble.metrics import disagreement
from ..schema import (
    CLASSES,
    LABEL_S,
    SFREQ,
    SPECTROGRAM_STEP_S,
    VOTE_COLUMNS,
    WINDOW_S,
    WINDOW_SAMPLES,
)
from ..system.errors import InputError
from ..system.progress import Progress, silent
from .notable import NotableWindow, choose
from .sources import BLOCK_SHAPE, ROW_REACH_S, OwnSpectrogram, around, open_recording, window_starts

SEPARATOR = "; "  # separates several members or warnings in one cell of a table
SHOWN_ROWS = 1500  # spectrogram columns kept for the report
SHOWN_AT_ONCE = 20  # of them made at once


class WindowScorer(Protocol):
    """What scoring needs of ``inference.predictor.Predictor``."""

    @property
    def members(self) -> Sequence[str]:
        """Names, in the blend's order."""

    @property
    def content_hash(self) -> str:
        """Hash of what decides the answers."""

    @property
    def device(self) -> torch.device:
        """Where its networks are."""

    def predict(self, windows: Sequence[Window], *, batch_size: int | None = None) -> Any:
        """Probabilities of the windows, one row each."""


@dataclass(frozen=True)
class RecordingScores:
    """What the ensemble saw in one recording; all that a report needs.

    Parameters
    ----------
    id : str
        ``recording-<hash>`` of the content, or the file's stem where names were asked for.
    duration_s, hop_s : float
    timeline : DataFrame
        One row per window: ``start_s``, ``label_start_s``, ``label_end_s`` (the central 10 s that
        the probabilities are for), six ``*_vote`` columns, ``disagreement`` (nats),
        ``members_used``, ``warnings``.
    members : tuple of str
    member_probs : ndarray, shape (n_members, n_windows, 6)
        NaN where a member was left out.
    spectrogram : ndarray, shape (4, 100, n)
        The recording's own, decimated by means; µV²/Hz.
    spectrogram_times_s : ndarray, shape (n,)
        Centres of its columns.
    notable : tuple of NotableWindow
    pauses_s : tuple of (float, float)
        When nothing was recorded, in seconds from the start.
    warnings : tuple of str
        Of the recording; those of single windows are in the timeline.
    source : dict
        Sampling rate, electrodes recorded, interpolated, derivations, time of day of the start;
        nothing else of a header.
    """

    id: str
    duration_s: float
    hop_s: float
    timeline: pd.DataFrame
    members: tuple[str, ...]
    member_probs: np.ndarray
    spectrogram: np.ndarray
    spectrogram_times_s: np.ndarray
    notable: tuple[NotableWindow, ...]
    pauses_s: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]
    source: dict[str, Any]


def score_recording(
    predictor: WindowScorer,
    path: Path,
    params: ScoringParams,
    *,
    rename: Mapping[str, str] | None = None,
    keep_names: bool = False,
    progress: Progress = silent,
) -> RecordingScores:
    """Score one recording in sliding windows.

    Parameters
    ----------
    predictor : WindowScorer
        Usually ``Predictor.open(bundle)``.
    path : Path
        A clinical file or an EEG parquet.
    params : ScoringParams
        Section `scoring`.
    rename : mapping of str to str, optional
        Label in the file → electrode.
    keep_names : bool
        Use the file's stem as id.
    progress : callable, optional
        Called with windows done and in all.

    Raises
    ------
    InputError
        The recording cannot be used.
    """
    path = Path(path)
    recording = open_recording(path, params, rename)
    name = path.stem if keep_names or is_parquet(path) else anonymous_id(path)
    return score_opened(predictor, recording, name, params, progress)


def score_opened(
    predictor: WindowScorer,
    recording: Recording,
    name: str,
    params: ScoringParams,
    progress: Progress = silent,
) -> RecordingScores:
    """Score a recording that is open, under a name; see ``score_recording``.

    Windows that a pause interrupts are left out, and so is one that the ensemble refuses.
    """
    spectrogram = OwnSpectrogram(recording, params.block_s)
    overview = Overview(spectrogram)
    starts = _starts(recording, params.hop_s)
    batches: list[Any] = []
    spreads: list[np.ndarray] = []
    kept: list[int] = []
    reasons: list[str] = []
    for rows, scores in predict(predictor, _batches(recording, overview, starts, params)):
        if isinstance(scores, InputError):
            # It speaks to whoever sent a row; this row's place and fate are said below.
            reasons.append(re.sub(r"^Row \d+, column | Leave this window out\.$", "", str(scores)))
        else:
            kept += rows
            batches.append(scores)
            spreads.append(disagreement(scores.member_probs))
        progress(rows[-1] + 1, len(starts))
    if not batches:
        raise InputError(f"No window of {recording.name} can be scored. {reasons[0]}")
    member_probs = np.concatenate([scores.member_probs for scores in batches], axis=1)
    every = window_starts(recording.n_times, params.hop_s)
    timeline = _timeline(starts[kept], batches, np.concatenate(spreads))
    overview.extend(spectrogram.n_rows)
    return RecordingScores(
        id=name,
        duration_s=recording.n_times / SFREQ,
        hop_s=float(params.hop_s),
        timeline=timeline,
        members=tuple(batches[0].members),
        member_probs=member_probs,
        spectrogram=overview.columns,
        spectrogram_times_s=overview.times_s,
        notable=_notable(recording, timeline, member_probs, overview, params),
        pauses_s=tuple((a / SFREQ, b / SFREQ) for a, b in recording.pauses),
        warnings=(
            *recording.warnings,
            *_left_out(every, starts, "a pause interrupts them."),
            *_left_out(starts, starts[kept], *reasons),
        ),
        source=recording.source,
    )


def predict(
    predictor: WindowScorer, batches: Iterable[Sequence[Window]], first: int = 0
) -> Iterator[tuple[range, Any]]:
    """Score batches; where one window spoils its batch, each of them by itself.

    Parameters
    ----------
    predictor : WindowScorer
    batches : iterable of sequence of Window
    first : int
        The first window's row.

    Yields
    ------
    rows : range
        Of the windows, counted over all batches.
    scores : Scores or InputError
        Their scores, or why the one window is refused.
    """
    for windows in batches:
        rows = range(first, first + len(windows))
        try:
            scores = predictor.predict(windows)
        except InputError as err:
            scores = InputError(str(err))  # without the traceback, which holds the batch
        if isinstance(scores, InputError) and len(windows) > 1:
            yield from predict(predictor, ([window] for window in windows), first)
        else:
            del windows  # before the next ones are read
            yield rows, scores
        first = rows.stop


def write_annotations(scores: RecordingScores, path: Path) -> Path:
    """Write the leading class over time as annotations that ``mne.read_annotations`` reads.

    Consecutive windows with one leading class become one annotation, described as
    ``HMS/seizure``; each window speaks for one hop around its centre.
    """
    table = scores.timeline
    leading = table[list(VOTE_COLUMNS)].to_numpy().argmax(axis=1)
    centre = (table["label_start_s"] + LABEL_S / 2).to_numpy()
    changes = np.flatnonzero(np.diff(leading) | (np.diff(centre) > scores.hop_s)) + 1
    first, last = np.r_[0, changes], np.r_[changes, len(leading)] - 1
    onset, end = centre[first] - scores.hop_s / 2, centre[last] + scores.hop_s / 2
    return write_marks(path, onset, end - onset, [f"HMS/{CLASSES[leading[i]]}" for i in first])


def _starts(recording: Recording, hop_s: int) -> np.ndarray:
    """First samples of the windows that no pause interrupts."""
    every = window_starts(recording.n_times, hop_s)
    starts = every[~across_pauses(every, WINDOW_SAMPLES, recording.pauses)]
    if not len(starts):
        raise InputError(
            f"A window needs {WINDOW_S:g} s of EEG without a pause, but every one of"
            f" {recording.name} is interrupted. {' '.join(recording.warnings)}"
        )
    return starts


def _batches(
    recording: Recording, overview: Overview, starts: np.ndarray, params: ScoringParams
) -> Iterator[list[Window]]:
    for k in range(0, len(starts), params.batch_windows):
        some = starts[k : k + params.batch_windows]
        # No names: they would keep a batch while the next one is read.
        yield [
            window
            for near in _without_gaps(some)  # samples in a pause between them are not read
            for window in _windows(recording, overview, near, params.spectrogram_coverage)
        ]


def _windows(
    recording: Recording, overview: Overview, starts: np.ndarray, coverage: float
) -> list[Window]:
    """Windows that touch each other; they share samples and spectrogram."""
    spectrogram = overview.spectrogram
    begins, ends = spectrogram.reach(starts)
    rows = spectrogram.rows(begins, ends)
    overview.extend(ends)
    first = int(starts[0])
    stretch = recording.read(first, int(starts[-1]) + WINDOW_SAMPLES)
    return [
        Window(
            stretch[:, s - first : s - first + WINDOW_SAMPLES],
            around(rows, s, coverage, spectrogram.paused, begins),
        )
        for s in starts.tolist()
    ]


def _without_gaps(starts: np.ndarray) -> list[np.ndarray]:
    """Starts in groups of windows that touch each other."""
    return np.split(starts, np.flatnonzero(np.diff(starts) > WINDOW_SAMPLES) + 1)


def _left_out(every: np.ndarray, kept: np.ndarray, *reasons: str) -> tuple[str, ...]:
    lost = np.setdiff1d(every, kept)
    if not len(lost):
        return ()
    first, last = lost[0] / SFREQ, lost[-1] / SFREQ + WINDOW_S
    return (
        f"Between {first:g} and {last:g} s {len(lost)} of {len(every)} windows left out:"
        f" {reasons[0]}",
    )


def _timeline(starts: np.ndarray, batches: Sequence[Any], spread: np.ndarray) -> pd.DataFrame:
    start_s = starts / SFREQ
    label_s = start_s + (WINDOW_S - LABEL_S) / 2
    times = {"start_s": start_s, "label_start_s": label_s, "label_end_s": label_s + LABEL_S}
    table = pd.DataFrame(times).join(pd.concat(map(answers_of, batches), ignore_index=True))
    table.insert(table.columns.get_loc("members_used"), "disagreement", spread)
    return table


def answers_of(scores: Any) -> pd.DataFrame:
    """Probabilities, members used and warnings of some windows, a row each."""
    table = pd.DataFrame(np.asarray(scores.probs, np.float64), columns=list(VOTE_COLUMNS))
    table["members_used"] = [SEPARATOR.join(used) for used in scores.members_used]
    table["warnings"] = [SEPARATOR.join(said) for said in scores.warnings]
    return table


def _notable(
    recording: Recording,
    timeline: pd.DataFrame,
    member_probs: np.ndarray,
    overview: Overview,
    params: ScoringParams,
) -> tuple[NotableWindow, ...]:
    probs = timeline[list(VOTE_COLUMNS)].to_numpy()
    starts_s = timeline["start_s"].to_numpy()
    ranked = choose(probs, params.notable, timeline["disagreement"].to_numpy())
    chosen: list[tuple[int, str]] = []
    for row, reason in ranked:
        if all(abs(starts_s[row] - starts_s[other]) >= WINDOW_S for other, _ in chosen):
            chosen.append((row, reason))
    found = []
    for row, reason in chosen[: params.notable]:
        start = np.array([round(starts_s[row] * SFREQ)])
        (shared,) = _windows(recording, overview, start, params.spectrogram_coverage)
        near = shared.spectrogram
        # A view would keep the rows around it.
        window = Window(shared.eeg, None if near is None else near.copy())
        found.append(
            NotableWindow(row, reason, starts_s[row], window, probs[row], member_probs[:, row])
        )
    return tuple(found)


class Overview:
    """The spectrogram of a whole recording in at most ``SHOWN_ROWS`` columns of means.

    Parameters
    ----------
    spectrogram : OwnSpectrogram

    Attributes
    ----------
    columns : ndarray, shape (4, 100, n), float32
        µV²/Hz; NaN where nothing was recorded, or what ``extend`` has not reached.
    times_s : ndarray, shape (n,)
        Centres of the columns.
    """

    def __init__(self, spectrogram: OwnSpectrogram) -> None:
        self.spectrogram = spectrogram
        n_rows = spectrogram.n_rows
        self._factor = max(1, -(-n_rows // SHOWN_ROWS))
        edges = np.arange(0, n_rows, self._factor)
        centres_s = SPECTROGRAM_STEP_S * np.arange(n_rows) + ROW_REACH_S / 2
        self.times_s = np.add.reduceat(centres_s, edges) / np.diff(np.r_[edges, n_rows])
        self.columns = np.full((*BLOCK_SHAPE, len(edges)), np.nan, np.float32)
        self._done = 0

    def extend(self, stop: int) -> None:
        """Make the columns that end at row ``stop`` or before."""
        n_rows, n_columns = self.spectrogram.n_rows, self.columns.shape[2]
        until = n_columns if stop == n_rows else stop // self._factor
        while self._done < until:
            columns = slice(self._done, min(self._done + SHOWN_AT_ONCE, until))
            first, last = columns.start * self._factor, min(columns.stop * self._factor, n_rows)
            rows = self.spectrogram.rows(first, last)
            known, edges = ~np.isnan(rows), np.arange(0, last - first, self._factor)
            sums = np.add.reduceat(np.where(known, rows, 0), edges, axis=2)
            counts = np.add.reduceat(known, edges, axis=2, dtype=np.float32)
            np.divide(sums, counts, out=self.columns[..., columns], where=counts > 0)
            self._done = columns.stop
