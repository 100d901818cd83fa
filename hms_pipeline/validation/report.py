"""What `hms validate --report` prints, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..config import Paths
from ..system.errors import InputError
from ..system.files import read_sealed, read_table
from .cleaning import RULES

KINDS = ("window", "eeg", "spectrogram")
EXAMPLES = 3


@dataclass(frozen=True)
class Row:
    """One rule's line.

    Parameters
    ----------
    rule, about : str
        Its name, and what is wrong with what it removed.
    windows, eegs, spectrograms : int
        Items removed.
    examples : tuple of str
        The first of them, such as ``"eeg 12: lasts 31 s"``.
    """

    rule: str
    about: str
    windows: int
    eegs: int
    spectrograms: int
    examples: tuple[str, ...]


def table(paths: Paths) -> list[Row]:
    """One row per rule that removed something, in the order of the rules' names.

    Raises
    ------
    InputError
        Stage `validate` has not run.
    """
    if not paths.quarantine.is_file():
        raise InputError(
            f"{paths.quarantine} is needed, but is not there. Run `hms validate` first."
        )
    return rows(read_table(paths.quarantine))


def rows(quarantine: pd.DataFrame, examples: int = EXAMPLES) -> list[Row]:
    """The same of a quarantine's ``kind, id, rule, detail``, with so many examples each."""
    return [_row(name, group, examples) for name, group in quarantine.groupby("rule", sort=True)]


def counts(paths: Paths) -> dict[str, dict[str, int]]:
    """Kind → ``all, kept, quarantined`` of the last run."""
    return read_sealed(paths.validated / "summary.json", "hms validate")["counts"]


def _row(name: str, group: pd.DataFrame, most: int) -> Row:
    windows, eegs, spectrograms = (int((group["kind"] == kind).sum()) for kind in KINDS)
    # A removed file says more than each of its windows.
    order = group.assign(last=group["kind"] == "window").sort_values(
        ["last", "kind", "id"], kind="stable"
    )
    examples = tuple(f"{row.kind} {row.id}: {row.detail}" for row in order.head(most).itertuples())
    about = RULES[name].about if name in RULES else ""
    return Row(name, about, windows, eegs, spectrograms, examples)
