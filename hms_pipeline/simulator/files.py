"""Parquet files of the competition: its columns, dtypes and compression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..schema import EEG_COLUMNS, SPECTROGRAM_COLUMNS

ROW_GROUP = 20_000  # samples: a window of a long recording is read without the rest


def write_eeg(path: Path, eeg: np.ndarray) -> None:
    """Write an EEG, array of shape (20, n_times), as 20 float32 columns."""
    columns = [np.ascontiguousarray(channel, np.float32) for channel in eeg]
    table = pa.table(dict(zip(EEG_COLUMNS, columns, strict=True)))
    pq.write_table(table, path, compression="snappy", row_group_size=ROW_GROUP)


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
