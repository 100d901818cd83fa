"""Small parquet files that unpack to far more than their footer says, or than any machine has."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hms_pipeline.schema import EEG_COLUMNS

N_ROWS = 10_000  # what the footer claims


def page_bomb(n_values: int = 5_000_000, codec: str = "zstd") -> bytes:
    """An EEG parquet of 10,000 rows by its footer, each column one page of ``n_values`` zeros.

    Made by the honest writer; then the number of values is written over, in the same number of
    bytes, wherever the file states it.
    """
    zeros = pa.array(np.zeros(n_values, np.float32))
    sink = io.BytesIO()
    pq.write_table(
        pa.table([zeros] * len(EEG_COLUMNS), names=list(EEG_COLUMNS)), sink, compression=codec,
        use_dictionary=False, write_statistics=False, store_schema=False,
        row_group_size=n_values, write_batch_size=n_values, data_page_size=2**30,
        max_rows_per_page=n_values,
    )  # fmt: skip
    stated = _varint(2 * n_values)
    return sink.getvalue().replace(stated, _varint(2 * N_ROWS, len(stated)))


def _varint(value: int, n_bytes: int = 1) -> bytes:
    """A number as Thrift writes it, in at least so many bytes."""
    digits = []
    while value or len(digits) < n_bytes:
        digits.append(value & 127 | 128)
        value >>= 7
    digits[-1] &= 127
    return bytes(digits)


def run_length_bomb(n_rows: int = 40_000_000, column: str = "eeg", size: int = 100) -> bytes:
    """A table of many rows that all name the same entry of a dictionary."""
    rows = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(n_rows, np.int32)), pa.array([bytes(size)])
    )
    sink = io.BytesIO()
    pq.write_table(pa.table({column: rows}), sink, compression="zstd")
    return sink.getvalue()
