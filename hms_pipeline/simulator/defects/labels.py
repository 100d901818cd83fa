"""Rows of train.csv that are wrong."""

from __future__ import annotations

from ...schema import CLASS_LABELS, VOTE_COLUMNS
from .desk import DEFECTS, Desk


@DEFECTS.register("row_twice")
def row_twice(desk: Desk, name: str) -> None:
    """The same window again, under another label_id."""
    row = desk.rows_of(desk.take_eeg()).iloc[0]
    label = desk.append(row)
    detail = f"the window of label {row.label_id} again"
    desk.record("window", label, "exact_duplicate", detail, variant=name, partner=row.label_id)


@DEFECTS.register("label_twice")
def label_twice(desk: Desk, name: str) -> None:
    """Two windows under one label_id."""
    rows = desk.rows_of(desk.take_eeg(min_rows=2))
    label = int(rows["label_id"].iloc[0])
    desk.set(rows.index[1], "label_id", label)
    desk.record("window", label, "duplicate_label", "two rows have this label_id", variant=name)


@DEFECTS.register("votes_zero")
def votes_zero(desk: Desk, name: str) -> None:
    """Nobody voted."""
    rows = desk.rows_of(desk.take_eeg())
    desk.set(rows.index[0], list(VOTE_COLUMNS), 0)
    label = rows["label_id"].iloc[0]
    desk.record("window", label, "votes_invalid", "all votes are 0", variant=name)


@DEFECTS.register("votes_negative")
def votes_negative(desk: Desk, name: str) -> None:
    """A count below zero."""
    rows = desk.rows_of(desk.take_eeg())
    lowest = min(VOTE_COLUMNS, key=lambda column: rows[column].iloc[0])
    desk.set(rows.index[0], lowest, -2)
    label = rows["label_id"].iloc[0]
    desk.record("window", label, "votes_invalid", f"{lowest} is -2", variant=name)


@DEFECTS.register("votes_fractional")
def votes_fractional(desk: Desk, name: str) -> None:
    """A count that is not whole."""
    rows = desk.rows_of(desk.take_eeg())
    column = VOTE_COLUMNS[-1]
    desk.rows[column] = desk.rows[column].astype(object)
    desk.set(rows.index[0], column, 1.5)
    label = rows["label_id"].iloc[0]
    desk.record("window", label, "votes_invalid", f"{column} is 1.5", variant=name)


@DEFECTS.register("consensus_other")
def consensus_other(desk: Desk, name: str) -> None:
    """expert_consensus names a class with fewer votes than another."""
    rows = desk.rows_of(desk.take_eeg())
    votes = [float(rows[column].iloc[0]) for column in VOTE_COLUMNS]
    wrong = CLASS_LABELS[votes.index(min(votes))]
    desk.set(rows.index[0], "expert_consensus", wrong)
    label = rows["label_id"].iloc[0]
    desk.record("window", label, "consensus_mismatch", f"consensus {wrong}", variant=name)


@DEFECTS.register("patient_two")
def patient_two(desk: Desk, name: str) -> None:
    """One row of an EEG names another patient than its other rows."""
    rows = desk.rows_of(desk.take_eeg(min_rows=3))
    others = desk.rows.loc[desk.rows["patient_id"] != rows["patient_id"].iloc[0], "patient_id"]
    other = int(desk.rng.choice(others.to_numpy()))
    desk.set(rows.index[-1], "patient_id", other)
    label = rows["label_id"].iloc[-1]
    desk.record("window", label, "patient_conflict", f"patient {other}", variant=name)


def _offset(desk: Desk, name: str, column: str, value: float) -> None:
    rows = desk.rows_of(desk.take_eeg())
    desk.set(rows.index[-1], column, value)
    label = rows["label_id"].iloc[-1]
    detail = f"{column} is {value:g}"
    desk.record("window", label, "offset_out_of_range", detail, variant=name, value=value)


@DEFECTS.register("offset_negative")
def offset_negative(desk: Desk, name: str) -> None:
    """A window that starts before its EEG."""
    _offset(desk, name, "eeg_label_offset_seconds", -float(2 * desk.rng.integers(1, 20)))


@DEFECTS.register("offset_beyond_eeg")
def offset_beyond_eeg(desk: Desk, name: str) -> None:
    """A window that ends after its EEG."""
    _offset(desk, name, "eeg_label_offset_seconds", float(2 * desk.rng.integers(500, 900)))


@DEFECTS.register("offset_beyond_spectrogram")
def offset_beyond_spectrogram(desk: Desk, name: str) -> None:
    """A window whose spectrogram rows do not exist."""
    _offset(desk, name, "spectrogram_label_offset_seconds", float(2 * desk.rng.integers(900, 2000)))
