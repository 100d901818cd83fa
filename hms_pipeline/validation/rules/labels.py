"""Rows of train.csv that contradict themselves, each other, or their files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...config.validation import ValidationParams
from ...schema import CLASS_LABELS, VOTE_COLUMNS
from ..evidence import Evidence, in_short_file, window_end_s
from ..rule import Finding, rows_where, rule


def outside(evidence: Evidence, kind: str) -> pd.Series:
    """Where the window does not lie inside a file that is itself long enough."""
    windows = evidence.windows
    starts_inside = windows[f"{kind}_label_offset_seconds"] >= 0
    ends_late = window_end_s(windows, kind) > windows[f"{kind}_duration_s"]
    return (~starts_inside | ends_late) & ~in_short_file(evidence, kind)


def invalid_votes(windows: pd.DataFrame) -> np.ndarray:
    """Where votes are not whole numbers, are negative, or are all zero."""
    votes = windows[list(VOTE_COLUMNS)].to_numpy(float)
    whole = np.isfinite(votes) & (votes >= 0) & (votes == np.floor(votes))
    return ~whole.all(axis=1) | (np.nansum(votes, axis=1) == 0)


def consensus_votes(windows: pd.DataFrame) -> np.ndarray:
    """Votes for the class that expert_consensus names; NaN where it names none."""
    votes = windows[list(VOTE_COLUMNS)].to_numpy(float)
    named = pd.Index(CLASS_LABELS).get_indexer(windows["expert_consensus"])
    return np.where(named >= 0, votes[np.arange(len(votes)), named], np.nan)


def most_votes(windows: pd.DataFrame) -> np.ndarray:
    """The largest vote of each row."""
    return windows[list(VOTE_COLUMNS)].fillna(-np.inf).to_numpy(float).max(axis=1)


def foreign_patient(windows: pd.DataFrame, kind: str) -> np.ndarray:
    """Where the row's patient is not the one that most rows of its file name.

    Without a majority no row can be trusted.
    """
    pair = windows.groupby([f"{kind}_id", "patient_id"])["label_id"].transform("size")
    whole = windows.groupby(f"{kind}_id")["label_id"].transform("size")
    return (2 * pair <= whole).to_numpy()


@rule("offset_out_of_range", "the window does not lie inside its recording")
def offset_out_of_range(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    windows = evidence.windows
    for kind in ("eeg", "spectrogram"):
        offsets = windows[f"{kind}_label_offset_seconds"].to_numpy()
        durations = windows[f"{kind}_duration_s"].to_numpy(float)
        for row in rows_where(outside(evidence, kind)):
            detail = f"offset {offsets[row]:g} s in a {kind} of {durations[row]:g} s"
            yield Finding("window", row, detail)


@rule("duplicate_label", "several rows have this label_id")
def duplicate_label(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    labels = evidence.windows["label_id"]
    for row in rows_where(labels.duplicated(keep=False)):
        yield Finding("window", row, f"row {row} of train.csv is one of several")


@rule("votes_invalid", "votes must be whole, not negative, and not all zero")
def votes_invalid(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    votes = evidence.windows[list(VOTE_COLUMNS)].to_numpy(float)
    for row in rows_where(invalid_votes(evidence.windows)):
        yield Finding("window", row, "votes " + ", ".join(f"{v:g}" for v in votes[row]))


@rule("consensus_mismatch", "expert_consensus is not a class with the most votes")
def consensus_mismatch(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    windows = evidence.windows
    agrees = consensus_votes(windows) == most_votes(windows)
    named = windows["expert_consensus"].to_numpy()
    votes = windows[list(VOTE_COLUMNS)].to_numpy(float)
    for row in rows_where(~agrees & ~invalid_votes(windows)):
        counts = ", ".join(f"{v:g}" for v in votes[row])
        yield Finding("window", row, f"consensus {named[row]}, votes {counts}")


@rule("patient_conflict", "one recording is said to be of several patients")
def patient_conflict(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    windows = evidence.windows
    patients = windows["patient_id"].to_numpy()
    for kind in ("eeg", "spectrogram"):
        files = windows[f"{kind}_id"].to_numpy()
        for row in rows_where(foreign_patient(windows, kind)):
            detail = f"patient {patients[row]} is not that of other rows of {kind} {files[row]}"
            yield Finding("window", row, detail)
