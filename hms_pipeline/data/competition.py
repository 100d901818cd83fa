"""The competition's folder: its tables and where its files lie.

References
----------
Kaggle, "HMS - Harmful Brain Activity Classification", data description, 2024.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..schema import CLASS_LABELS, TEST_COLUMNS, TRAIN_COLUMNS
from ..system.errors import InputError

TEXT_COLUMNS = ("expert_consensus",)
OFFSET_COLUMNS = ("eeg_label_offset_seconds", "spectrogram_label_offset_seconds")


def eeg_path(root: Path, eeg_id: int, split: str = "train") -> Path:
    """Where the EEG recording ``eeg_id`` lies."""
    return Path(root) / f"{split}_eegs" / f"{int(eeg_id)}.parquet"


def spectrogram_path(root: Path, spectrogram_id: int, split: str = "train") -> Path:
    """Where the spectrogram ``spectrogram_id`` lies."""
    return Path(root) / f"{split}_spectrograms" / f"{int(spectrogram_id)}.parquet"


def read_table(path: Path, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Read a CSV table that must have ``columns``; values are not checked.

    Parameters
    ----------
    path : Path
        The CSV file.
    columns : tuple of str or None
        Columns to return, in this order, others are dropped; None returns whatever there is.

    Raises
    ------
    InputError
        The file is missing, is not CSV, or lacks a column.
    """
    if not path.parent.is_dir():
        raise InputError(
            f"Data folder {path.parent} is missing. Make one with `hms sample --out"
            f" {path.parent}`, put the competition data there, or give --data DIR."
        )
    try:
        table = pd.read_csv(path, low_memory=False)
    except FileNotFoundError:
        raise InputError(
            f"{path.name} is needed in {path.parent}, but is not there. Copy it from the"
            " competition, or give another folder with --data DIR."
        ) from None
    except (OSError, ValueError) as err:  # pandas' parser errors are ValueErrors
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise InputError(f"{path.name} cannot be read as CSV: {reason}. Copy it again.") from None
    if columns is None:
        return table
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(
            f"{path.name} needs the columns {missing}, but has {list(table.columns)[:20]}."
            " Copy it again from the competition."
        )
    return table[list(columns)]


def read_train(root: Path) -> pd.DataFrame:
    """Read train.csv with all its columns, checked to be of the competition's types.

    Parameters
    ----------
    root : Path
        The competition folder.

    Returns
    -------
    DataFrame, shape (n_windows, 15)
        Ids and votes int64, offsets float64 (s), consensus text.

    Raises
    ------
    InputError
        Missing or unreadable file, missing column, or a value of the wrong type.
    """
    table = read_table(Path(root) / "train.csv", TRAIN_COLUMNS)
    integers = [c for c in TRAIN_COLUMNS if c not in (*TEXT_COLUMNS, *OFFSET_COLUMNS)]
    typed = _integers(table, integers, "train.csv")
    for name in OFFSET_COLUMNS:
        values = pd.to_numeric(table[name], errors="coerce").astype("float64")
        _refuse(table, name, ~np.isfinite(values), "train.csv", "finite seconds")
        typed[name] = values
    typed["expert_consensus"] = table["expert_consensus"].astype(object)
    unknown = ~table["expert_consensus"].isin(CLASS_LABELS)
    _refuse(table, "expert_consensus", unknown, "train.csv", f"one of {list(CLASS_LABELS)}")
    return typed


def read_test(root: Path) -> pd.DataFrame:
    """Read test.csv: ``spectrogram_id, eeg_id, patient_id``, all int64.

    Raises
    ------
    InputError
        Missing or unreadable file, missing column, or a value of the wrong type.
    """
    table = read_table(Path(root) / "test.csv", TEST_COLUMNS)
    return _integers(table, list(TEST_COLUMNS), "test.csv")


def whole_numbers(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Values as int64 (0 where they are not whole numbers), and where they are whole."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype("int64"), pd.Series(True, index=values.index)
    numbers = pd.to_numeric(values, errors="coerce")
    whole = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers.abs() < 2**53)
    return numbers.where(whole, 0).astype("int64"), whole


def _integers(table: pd.DataFrame, names: list[str], source: str) -> pd.DataFrame:
    typed = table.copy()
    for name in names:
        typed[name], whole = whole_numbers(table[name])
        _refuse(table, name, ~whole, source, "whole numbers")
    return typed


def _refuse(table: pd.DataFrame, name: str, bad: pd.Series, source: str, needed: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise InputError(
            f"{source} needs {needed} in {name}, but row {row} has"
            f" {table[name].iloc[row]!r}. Correct that row, or run `hms validate`."
        )
