"""A whole recording in sliding windows: a timeline of six probabilities.

The recording is read piece by piece, so that a day of EEG needs no more memory than an hour. Its
own ten-minute spectrograms follow the published recipe, on a grid of 2 s on which every window's
centre falls between the same samples as in the competition's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

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
from ..system.processes import release_memory
from ..system.progress import Progress
from .notable import NotableWindow, choose
from .sources import (
    ROW_REACH_S,
    around,
    open_recording,
    own_spectrogram,
    paused_rows,
    window_starts,
)

SEPARATOR = "; "  # separates several members or warnings in one cell of a table
SHOWN_ROWS = 1500  # spectrogram columns kept for the report


class WindowScorer(Protocol):
    """What scoring needs of ``inference.predictor.Predictor``."""

    @property
    def members(self) -> Sequence[str]:
        """Names, in the blend's order."""

    @property
    def content_hash(self) -> str:
        """Hash of what decides the answers."""

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
    progress: Progress | None = None,
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
    progress: Progress | None = None,
) -> RecordingScores:
    """Score a recording that is open, under a name; see ``score_recording``.

    Windows that a pause interrupts are left out, and so is one that the ensemble refuses.
    """
    spectrogram = own_spectrogram(recording, params.block_s)
    release_memory()  # else its blocks lie beside those of the windows, and both count
    starts = _starts(recording, params.hop_s)
    batches: list[Any] = []
    spreads: list[np.ndarray] = []
    kept: list[int] = []
    reasons: list[str] = []
    for rows, scores in predict(predictor, _batches(recording, spectrogram, starts, params)):
        if isinstance(scores, InputError):
            # It speaks to whoever sent a row; this row's place and fate are said below.
            reasons.append(re.sub(r"^Row \d+, column | Leave this window out\.$", "", str(scores)))
        else:
            kept += rows
            batches.append(scores)
            spreads.append(disagreement(scores.member_probs))
        if progress:
            progress(rows[-1] + 1, len(starts))
    if not batches:
        raise InputError(f"No window of {recording.name} can be scored. {reasons[0]}")
    member_probs = np.concatenate([scores.member_probs for scores in batches], axis=1)
    every = window_starts(recording.n_times, params.hop_s)
    timeline = _timeline(starts[kept], batches, np.concatenate(spreads))
    shown, times_s = _decimated(spectrogram)
    return RecordingScores(
        id=name,
        duration_s=recording.n_times / SFREQ,
        hop_s=float(params.hop_s),
        timeline=timeline,
        members=tuple(batches[0].members),
        member_probs=member_probs,
        spectrogram=shown,
        spectrogram_times_s=times_s,
        notable=_notable(recording, timeline, member_probs, spectrogram, params),
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
    recording: Recording, spectrogram: np.ndarray, starts: np.ndarray, params: ScoringParams
) -> Iterator[list[Window]]:
    paused = paused_rows(recording, spectrogram.shape[2])
    for k in range(0, len(starts), params.batch_windows):
        some = starts[k : k + params.batch_windows]
        windows = []
        for near in _without_gaps(some):  # samples in a pause between them are not read
            stretch = recording.read(int(near[0]), int(near[-1]) + WINDOW_SAMPLES)
            windows += [
                Window(
                    stretch[:, s - near[0] : s - near[0] + WINDOW_SAMPLES],
                    around(spectrogram, int(s), params.spectrogram_coverage, paused),
                )
                for s in near
            ]
        yield windows


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
    table = pd.DataFrame(
        {"start_s": start_s, "label_start_s": label_s, "label_end_s": label_s + LABEL_S}
    )
    table[list(VOTE_COLUMNS)] = np.concatenate([scores.probs for scores in batches])
    table["disagreement"] = spread
    table["members_used"] = [
        SEPARATOR.join(used) for scores in batches for used in scores.members_used
    ]
    table["warnings"] = [SEPARATOR.join(said) for scores in batches for said in scores.warnings]
    return table


def _notable(
    recording: Recording,
    timeline: pd.DataFrame,
    member_probs: np.ndarray,
    spectrogram: np.ndarray,
    params: ScoringParams,
) -> tuple[NotableWindow, ...]:
    probs = timeline[list(VOTE_COLUMNS)].to_numpy()
    starts_s = timeline["start_s"].to_numpy()
    ranked = choose(probs, params.notable, timeline["disagreement"].to_numpy())
    chosen: list[tuple[int, str]] = []
    for row, reason in ranked:
        if all(abs(starts_s[row] - starts_s[other]) >= WINDOW_S for other, _ in chosen):
            chosen.append((row, reason))
    paused = paused_rows(recording, spectrogram.shape[2])
    found = []
    for row, reason in chosen[: params.notable]:
        start = round(starts_s[row] * SFREQ)
        near = around(spectrogram, start, params.spectrogram_coverage, paused)
        window = Window(
            recording.read(start, start + WINDOW_SAMPLES),
            None if near is None else near.copy(),  # a view would keep the whole spectrogram
        )
        found.append(
            NotableWindow(row, reason, starts_s[row], window, probs[row], member_probs[:, row])
        )
    return tuple(found)


def _decimated(spectrogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n_rows = spectrogram.shape[2]
    factor = max(1, -(-n_rows // SHOWN_ROWS))
    edges = np.arange(0, n_rows, factor)
    centres_s = SPECTROGRAM_STEP_S * np.arange(n_rows) + ROW_REACH_S / 2
    shown = np.full((*spectrogram.shape[:2], len(edges)), np.nan, spectrogram.dtype)
    # No copy: that of a day would be large.
    for region, out in zip(spectrogram, shown, strict=True):
        known = ~np.isnan(region)
        sums = np.add.reduceat(np.where(known, region, 0), edges, axis=1)
        counts = np.add.reduceat(known, edges, axis=1, dtype=np.float32)
        np.divide(sums, counts, out=out, where=counts > 0)
    times_s = np.add.reduceat(centres_s, edges) / np.diff(np.r_[edges, n_rows])
    return shown, times_s
