"""Rows of train.csv that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd

from ...catalogue import entry_maker
from ...schema import CLASS_LABELS, VOTE_COLUMNS
from .desk import DEFECTS, Desk

Change = Callable[[Desk, pd.DataFrame], str]  # of the first or last of an EEG's rows; the detail


def _defect(name: str, rule: str, *, row: int = 0, min_rows: int = 1) -> Callable[[Change], Change]:
    """Register a change of one row of an untouched EEG that has at least so many."""

    def plant(change: Change, desk: Desk, name: str) -> None:
        rows = desk.rows_of(desk.take_eeg(min_rows))
        detail = change(desk, rows)
        desk.record("window", rows["label_id"].iloc[row], rule, detail, variant=name)

    return entry_maker(DEFECTS, lambda change: partial(plant, change), name)


@DEFECTS.register("row_twice")
def row_twice(desk: Desk, name: str) -> None:
    """The same window again, under another label_id."""
    row = desk.rows_of(desk.take_eeg()).iloc[0]
    label = desk.append(row)
    detail = f"the window of label {row.label_id} again"
    desk.record("window", label, "exact_duplicate", detail, variant=name, partner=row.label_id)


@_defect("label_twice", "duplicate_label", min_rows=2)
def label_twice(desk: Desk, rows: pd.DataFrame) -> str:
    """Two windows under one label_id."""
    desk.set(rows.index[1], "label_id", int(rows["label_id"].iloc[0]))
    return "two rows have this label_id"


@_defect("votes_zero", "votes_invalid")
def votes_zero(desk: Desk, rows: pd.DataFrame) -> str:
    """Nobody voted."""
    desk.set(rows.index[0], list(VOTE_COLUMNS), 0)
    return "all votes are 0"


@_defect("votes_negative", "votes_invalid")
def votes_negative(desk: Desk, rows: pd.DataFrame) -> str:
    """A count below zero."""
    lowest = min(VOTE_COLUMNS, key=lambda column: rows[column].iloc[0])
    desk.set(rows.index[0], lowest, -2)
    return f"{lowest} is -2"


@_defect("votes_fractional", "votes_invalid")
def votes_fractional(desk: Desk, rows: pd.DataFrame) -> str:
    """A count that is not whole."""
    column = VOTE_COLUMNS[-1]
    desk.rows[column] = desk.rows[column].astype(object)
    desk.set(rows.index[0], column, 1.5)
    return f"{column} is 1.5"


@_defect("consensus_other", "consensus_mismatch")
def consensus_other(desk: Desk, rows: pd.DataFrame) -> str:
    """expert_consensus names a class with fewer votes than another."""
    votes = [float(rows[column].iloc[0]) for column in VOTE_COLUMNS]
    wrong = CLASS_LABELS[votes.index(min(votes))]
    desk.set(rows.index[0], "expert_consensus", wrong)
    return f"consensus {wrong}"


@_defect("patient_two", "patient_conflict", row=-1, min_rows=3)
def patient_two(desk: Desk, rows: pd.DataFrame) -> str:
    """One row of an EEG names another patient than its other rows."""
    others = desk.rows.loc[desk.rows["patient_id"] != rows["patient_id"].iloc[0], "patient_id"]
    other = int(desk.rng.choice(others.to_numpy()))
    desk.set(rows.index[-1], "patient_id", other)
    return f"patient {other}"


def _offset(desk: Desk, name: str, kind: str, value: int) -> None:
    rows = desk.rows_of(desk.take_eeg())
    column = f"{kind}_label_offset_seconds"
    desk.set(rows.index[-1], column, float(value))
    label = rows["label_id"].iloc[-1]
    detail = f"{column} is {value:g}"
    desk.record("window", label, "offset_out_of_range", detail, variant=name, value=float(value))


@DEFECTS.register("offset_negative")
def offset_negative(desk: Desk, name: str) -> None:
    """A window that starts before its EEG."""
    _offset(desk, name, "eeg", -2 * int(desk.rng.integers(1, 20)))


@DEFECTS.register("offset_beyond_eeg")
def offset_beyond_eeg(desk: Desk, name: str) -> None:
    """A window that ends after its EEG."""
    _offset(desk, name, "eeg", 2 * int(desk.rng.integers(500, 900)))


@DEFECTS.register("offset_beyond_spectrogram")
def offset_beyond_spectrogram(desk: Desk, name: str) -> None:
    """A window whose spectrogram rows do not exist."""
    _offset(desk, name, "spectrogram", 2 * int(desk.rng.integers(900, 2000)))
