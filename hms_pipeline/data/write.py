"""Parquet files of the competition: its columns, dtypes and compression."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..schema import EEG_COLUMNS, SPECTROGRAM_COLUMNS

ROW_GROUP = 20_000  # samples: a window of a long recording is read without the rest
_EEG = pa.schema([(name, pa.float32()) for name in EEG_COLUMNS])
SIMULATED = {b"hms.origin": b"simulated"}  # marks the footer of a simulated EEG


def write_eeg(
    path: Path, eeg: np.ndarray | Iterable[np.ndarray], *, simulated: bool = False
) -> None:
    """Write an EEG as 20 float32 columns.

    Parameters
    ----------
    path : Path
    eeg : array, shape (20, n_times), or iterable of such blocks
        Microvolts. Blocks of ``ROW_GROUP`` samples give the bytes that the whole array gives.
    simulated : bool
        Whether the file says so of itself, for ``is_simulated``.
    """
    blocks = [eeg] if isinstance(eeg, np.ndarray) else eeg
    schema = _EEG.with_metadata(SIMULATED if simulated else None)
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for block in blocks:
            columns = [np.ascontiguousarray(channel, np.float32) for channel in block]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROW_GROUP)


def is_simulated(path: Path) -> bool:
    """Whether an EEG's file says that it was simulated; only its footer is read."""
    return SIMULATED.items() <= (pq.read_schema(path).metadata or {}).items()


def write_spectrogram(path: Path, spectrogram: np.ndarray, time_dtype: str = "int64") -> None:
    """Write a spectrogram, array of shape (4, 100, n_rows), as ``time`` and 400 columns."""
    n_rows = spectrogram.shape[-1]
    time = (2 * np.arange(n_rows) + 1).astype(time_dtype)
    values = spectrogram.reshape(-1, n_rows).astype(np.float32)
    table = pa.table(dict(zip(SPECTROGRAM_COLUMNS, [time, *values], strict=True)))
    # Hardly a value occurs twice: a dictionary would cost time and save nothing.
    pq.write_table(
        table, path, compression="snappy", use_dictionary=["time"], write_statistics=False
    )
