"""Files that cannot be used: each fault for EEGs and for spectrograms."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...catalogue import entry_maker
from ...schema import SFREQ
from .desk import DEFECTS, Desk

Spoil = Callable[[Path, np.random.Generator], str]


def _fault(name: str, rule: str) -> Callable[[Spoil], Spoil]:
    """Register a fault for both kinds of file."""

    def plant(spoil: Spoil, desk: Desk, name: str) -> None:
        kind = name.partition("_")[0]
        key = desk.take_eeg() if kind == "eeg" else desk.take_spectrogram()
        desk.record(kind, key, rule, spoil(desk.path(kind, key), desk.rng), variant=name)

    names = (f"eeg_{name}", f"spectrogram_{name}")
    return entry_maker(DEFECTS, lambda spoil: partial(plant, spoil), *names)


def _rewrite(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="snappy")


@_fault("missing", "missing_file")
def missing(path: Path, rng: np.random.Generator) -> str:
    """The file is not there."""
    path.unlink()
    return "the file is not there"


@_fault("truncated", "unreadable_file")
def truncated(path: Path, rng: np.random.Generator) -> str:
    """A copy that broke off."""
    content = path.read_bytes()
    kept = int(len(content) * rng.uniform(0.1, 0.9))
    path.write_bytes(content[:kept])
    return f"{kept} of {len(content)} bytes"


@_fault("text", "unreadable_file")
def text(path: Path, rng: np.random.Generator) -> str:
    """CSV under the name of a parquet file."""
    path.write_text(
        pq.read_table(path).slice(0, 20).to_pandas().to_csv(index=False), encoding="utf-8"
    )
    return "CSV text named .parquet"


@_fault("no_bytes", "unreadable_file")
def no_bytes(path: Path, rng: np.random.Generator) -> str:
    """A file of length 0."""
    path.write_bytes(b"")
    return "0 bytes"


@_fault("locked", "unreadable_file")
def locked(path: Path, rng: np.random.Generator) -> str:
    """A file that may not be read; where one may read everything, a folder of its name."""
    path.chmod(0)
    if not os.access(path, os.R_OK):
        return "no permission to read"
    path.unlink()
    path.mkdir()
    return "a folder of that name"


@_fault("column_missing", "wrong_columns")
def column_missing(path: Path, rng: np.random.Generator) -> str:
    """One column is gone."""
    table = pq.read_table(path)
    name = table.column_names[int(rng.integers(table.num_columns))]
    _rewrite(path, table.drop_columns([name]))
    return f"without {name}"


@_fault("column_renamed", "wrong_columns")
def column_renamed(path: Path, rng: np.random.Generator) -> str:
    """A column under another name, as other montages have it."""
    table = pq.read_table(path)
    names = list(table.column_names)
    names[5] = f"{names[5]}-Ref"
    _rewrite(path, table.rename_columns(names))
    return f"{names[5]} is not a column of the competition"


@_fault("dtype_double", "wrong_dtype")
def dtype_double(path: Path, rng: np.random.Generator) -> str:
    """Samples of 64 bits."""
    table = pq.read_table(path)
    fields = [pa.field(f.name, pa.float64() if f.name != "time" else f.type) for f in table.schema]
    _rewrite(path, table.cast(pa.schema(fields)))
    return "float64"


@_fault("dtype_text", "wrong_dtype")
def dtype_text(path: Path, rng: np.random.Generator) -> str:
    """A column of text."""
    table = pq.read_table(path)
    name = table.column_names[3]
    column = table.column(name).cast(pa.string())
    _rewrite(path, table.set_column(3, name, column))
    return f"{name} is text"


@_fault("no_rows", "empty_file")
def no_rows(path: Path, rng: np.random.Generator) -> str:
    """The right columns and nothing in them."""
    _rewrite(path, pq.read_table(path).slice(0, 0))
    return "0 rows"


@_fault("short", "too_short")
def short(path: Path, rng: np.random.Generator) -> str:
    """Shorter than one window."""
    table = pq.read_table(path)
    is_eeg = "time" not in table.column_names
    rows = int(rng.uniform(10, 49) * SFREQ) if is_eeg else int(rng.integers(20, 299))
    _rewrite(path, table.slice(0, rows))
    return f"{rows} rows"
