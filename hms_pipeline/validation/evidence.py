"""What rules and expectations look at: train.csv joined with the measures of its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..schema import (
    SFREQ,
    SPECTROGRAM_ROWS,
    SPECTROGRAM_STEP_S,
    VOTE_COLUMNS,
    WINDOW_S,
    WINDOW_SAMPLES,
)
from .matching import Match
from .survey import PATHS, Survey


@dataclass(frozen=True)
class Evidence:
    """Tables of one data set.

    Parameters
    ----------
    windows : DataFrame
        Rows of train.csv, numbered from 0, with votes as numbers (NaN where they are not),
        the measures of each window (``eeg_missing_share`` …), and ``eeg_duration_s``,
        ``spectrogram_duration_s``.
    eegs, spectrograms : DataFrame
        Rows of recordings.parquet by id.
    matches : tuple of Match
        EEG pairs compared for being the same signal.
    removed_rows : array, shape (n_windows,), bool
        Windows that earlier rules removed.
    removed_files : frozenset of (str, int)
        Files (kind, id) that earlier rules removed.
    """

    windows: pd.DataFrame
    eegs: pd.DataFrame
    spectrograms: pd.DataFrame
    matches: tuple[Match, ...]
    removed_rows: np.ndarray
    removed_files: frozenset[tuple[str, int]] = frozenset()

    def files(self, kind: str) -> pd.DataFrame:
        """The table of one kind of file."""
        return self.eegs if kind == "eeg" else self.spectrograms

    def without(self, rows: np.ndarray, files: frozenset[tuple[str, int]]) -> Evidence:
        """The same evidence with more items marked as removed."""
        return replace(
            self, removed_rows=self.removed_rows | rows, removed_files=self.removed_files | files
        )


def gather(survey: Survey) -> Evidence:
    """Join the survey's tables."""
    tables = {
        kind: group.set_index("id") for kind, group in survey.recordings.groupby("kind", sort=True)
    }
    empty = survey.recordings.iloc[:0].set_index("id")
    windows = survey.windows.copy()
    for kind in PATHS:
        files = tables.get(kind, empty)
        windows[f"{kind}_duration_s"] = windows[f"{kind}_id"].map(files["duration_s"])
    windows["n_votes"] = windows[list(VOTE_COLUMNS)].sum(axis=1)
    return Evidence(
        windows,
        tables.get("eeg", empty),
        tables.get("spectrogram", empty),
        survey.matches,
        np.zeros(len(windows), bool),
    )


def best_first(evidence: Evidence, kind: str, ids: Iterable[int]) -> list[int]:
    """Ids of copies in the order in which one would keep them.

    Not removed yet, then longer, then with more windows, then the smaller id.
    """
    files = evidence.files(kind)
    return sorted(
        (int(key) for key in ids),
        key=lambda key: (
            (kind, key) in evidence.removed_files,
            -int(files.at[key, "n_samples"]),
            -int(files.at[key, "n_windows"]),
            key,
        ),
    )


def too_short(evidence: Evidence, kind: str) -> pd.Series:
    """Where a readable file is shorter than one window, by id."""
    files = evidence.files(kind)
    needed = WINDOW_SAMPLES if kind == "eeg" else SPECTROGRAM_ROWS
    return (files["n_samples"] < needed).fillna(False).astype(bool)


def in_short_file(evidence: Evidence, kind: str) -> pd.Series:
    """Where a window's file is shorter than one window."""
    short = evidence.windows[f"{kind}_id"].map(too_short(evidence, kind))
    return short.fillna(False).astype(bool)


def window_end_s(windows: pd.DataFrame, kind: str) -> pd.Series:
    """Where each window ends in its EEG or spectrogram (s)."""
    offset = windows[f"{kind}_label_offset_seconds"]
    if kind == "eeg":
        return (offset * SFREQ).round() / SFREQ + WINDOW_S
    return SPECTROGRAM_STEP_S * (offset // SPECTROGRAM_STEP_S + SPECTROGRAM_ROWS)
