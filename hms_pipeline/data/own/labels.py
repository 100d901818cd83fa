"""What readers said: a table of labels, or which annotations in the files are labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...schema import CLASSES, VOTE_COLUMNS
from ...system.errors import InputError
from .texts import number, read_texts

ONE_READER = ""  # the reader of labels that name none
MOST_VOTES = 1000  # most votes for one class in one row; more is taken for a mistake


@dataclass(frozen=True)
class Label:
    """One row or annotation.

    Parameters
    ----------
    row : int or None
        Of the table, as a spreadsheet numbers it; None for an annotation.
    when : float or str
        Seconds from the recording's start to the labelled stretch, or the clock's time.
    duration_s : float
        Length of the stretch; 0 where none is stated.
    votes : tuple of int, length 6
        In the order of ``schema.CLASSES``.
    reader : str or None
        Who gave this one vote; None where the votes are of several readers already.
    """

    row: int | None
    when: float | str
    duration_s: float
    votes: tuple[int, ...]
    reader: str | None = ONE_READER


class LeftOut(NamedTuple):
    """A label, or a reader's vote on one stretch, that does not count.

    Parameters
    ----------
    file : str
        Empty as long as only one recording is looked at.
    row : int or None
        Of the table of labels.
    start_s : float or None
    kind : str
        Why, in a few words.
    reason : str
        Why, in a sentence.
    """

    file: str
    row: int | None
    start_s: float | None
    kind: str
    reason: str


@dataclass
class Labels:
    """What the LABELS file says.

    Parameters
    ----------
    by_file : dict of str to list of Label
        Of a table of labels: the file as the table names it. Empty where ``texts`` is given.
    texts : dict of str to (str, tuple of int)
        Annotation's text in lower case → reader and votes.
    patients : dict of str to set of str
        File as the table names it → its patients.
    left_out : list of LeftOut
        Rows that say nothing usable.
    """

    by_file: dict[str, list[Label]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    patients: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    left_out: list[LeftOut] = field(default_factory=list)


def read_labels(path: Path, patients: Path | None = None) -> Labels:
    """Read the LABELS file; which of the two kinds it is, its columns say.

    Parameters
    ----------
    path : Path
        A table of labels: ``file``; ``start_s`` (seconds) or ``onset`` (the clock's time);
        optional ``duration_s``; six ``*_vote`` columns, or ``class`` and optional ``reader``;
        optional ``patient``. Or a table of annotations' texts: ``text``, ``class``, optional
        ``reader``.
    patients : Path, optional
        A table of ``file`` and ``patient``, where LABELS names none.

    Raises
    ------
    InputError
        A table is unreadable, its columns do not fit, or a text is mapped twice or to no class.
    """
    table = read_texts(path)
    columns = set(table.columns)
    labels = Labels()
    if "text" in columns and "file" not in columns:
        labels.texts = _texts(table, Path(path).name)
    else:
        _check_columns(columns, Path(path).name)
        for row, cells in zip(table.index, table.to_dict("records"), strict=True):
            _add(labels, row, cells)
    if patients is not None:
        _add_patients(labels, columns, Path(patients))
    return labels


def class_votes(text: str) -> tuple[int, ...] | None:
    """One vote for the class that a text names in any case; None where it names none.

    Examples
    --------
    >>> class_votes("LPD")
    (0, 1, 0, 0, 0, 0)
    """
    name = text.strip().lower()
    return tuple(int(name == known) for known in CLASSES) if name in CLASSES else None


def _check_columns(columns: set[str], name: str) -> None:
    votes = set(VOTE_COLUMNS) <= columns
    needed = [
        ("file", "file" in columns),
        ("either start_s or onset", len(columns & {"start_s", "onset"}) == 1),
        (f"either class or the six {list(VOTE_COLUMNS)}", votes != ("class" in columns)),
    ]
    missing = [what for what, there in needed if not there]
    if missing:
        raise InputError(
            f"A table of labels needs {'; '.join(missing)}, but {name} has {sorted(columns)}."
            " Rename its columns; a table of annotations' texts needs text and class."
        )


def _add(labels: Labels, row: int, cells: Mapping[str, str]) -> None:
    file = cells["file"]
    when: float | str = number(cells["start_s"]) if "start_s" in cells else cells["onset"]
    stated = cells.get("duration_s", "")
    duration_s = number(stated) if stated else 0.0
    if cells.get("patient"):
        labels.patients[file].add(cells["patient"])
    votes = class_votes(cells["class"]) if "class" in cells else _six_votes(cells)
    if not file:
        wrong = "file", "A row needs the name of a file."
    elif when == "" or (isinstance(when, float) and not isfinite(when)):
        said = cells.get("start_s", cells.get("onset"))
        wrong = "time", f"A label needs its time, got {said!r}."
    elif not (isfinite(duration_s) and duration_s >= 0):
        wrong = "time", f"duration_s needs seconds of 0 or more, got {stated!r}."
    elif votes is None and "class" in cells:
        wrong = "class", f"Unknown class {cells['class']!r}. Choose one of {list(CLASSES)}."
    elif votes is None:
        said = [cells[name] for name in VOTE_COLUMNS]
        wrong = "votes", f"Votes need whole numbers, one of them above 0, got {said}."
    else:
        reader = cells.get("reader", ONE_READER) if "class" in cells else None
        labels.by_file[file].append(Label(row, when, duration_s, votes, reader))
        return
    at = when if isinstance(when, float) and isfinite(when) else None
    labels.left_out.append(LeftOut(file, row, at, *wrong))


def _six_votes(cells: Mapping[str, str]) -> tuple[int, ...] | None:
    values = np.array([number(cells[name] or "0") for name in VOTE_COLUMNS])
    whole = np.isfinite(values).all() and (values == np.floor(values)).all()
    if not whole or values.min() < 0 or not 0 < values.max() <= MOST_VOTES:
        return None
    return tuple(int(value) for value in values)


def _texts(table: pd.DataFrame, name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    if "class" not in table.columns:
        raise InputError(f"A table of annotations' texts needs the column class in {name}. Add it.")
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for row, cells in zip(table.index, table.to_dict("records"), strict=True):
        votes, text = class_votes(cells["class"]), cells["text"].lower()
        if votes is None:
            raise InputError(
                f"{name}, row {row}: unknown class {cells['class']!r}."
                f" Choose one of {list(CLASSES)}."
            )
        if not text or text in found:
            raise InputError(
                f"{name}, row {row}: each annotation's text needs one row of its own, got"
                f" {cells['text']!r}{' again' if text else ''}. Correct that row."
            )
        found[text] = (cells.get("reader", ONE_READER), votes)
    return found


def _add_patients(labels: Labels, columns: set[str], path: Path) -> None:
    if "patient" in columns:
        raise InputError(
            "Patients need one place, but the table of labels has a column patient and --patients"
            " was given. Leave one out."
        )
    table = read_texts(path)
    if not {"file", "patient"} <= set(table.columns):
        raise InputError(
            f"A table of patients needs the columns file and patient, but {path.name} has"
            f" {list(table.columns)}. Rename them."
        )
    for file, patient in zip(table["file"], table["patient"], strict=True):
        if patient:
            labels.patients[file].add(patient)
