"""Windows as request bodies of the scoring server.

Examples
--------
>>> body = encode_request([Window(eeg, spectrogram)])  # doctest: +SKIP
>>> requests.post(url, data=body, headers={"Content-Type": PARQUET})  # doctest: +SKIP
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ..data.encode import eeg_to_parquet, spectrogram_to_parquet
from ..data.window import Window
from ..system.errors import InputError

PARQUET = "application/vnd.apache.parquet"  # Content-Type of encode_request's bodies
JSON = "application/json"


def encode_request(windows: Sequence[Window]) -> bytes:
    """The recommended body: one parquet table, one row per window.

    Parameters
    ----------
    windows : sequence of Window

    Returns
    -------
    bytes
        Columns ``eeg`` and ``spectrogram``, each cell the bytes of a parquet file with page
        checksums. Post them as ``application/vnd.apache.parquet``.
    """
    eeg, spectrogram = _cells(windows)
    table = pa.table(
        {"eeg": pa.array(eeg, pa.binary()), "spectrogram": pa.array(spectrogram, pa.binary())}
    )
    sink = pa.BufferOutputStream()
    # The cells are compressed already; checksums also guard the frame around them.
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def encode_json(windows: Sequence[Window]) -> str:
    """The same as ``dataframe_split`` JSON with base64 cells, for clients without parquet.

    A third larger than the parquet body; needed where ``params`` are sent.
    """
    rows = [
        [base64.b64encode(cell).decode("ascii") for cell in row]
        for row in zip(*_cells(windows), strict=True)
    ]
    return json.dumps({"dataframe_split": {"columns": ["eeg", "spectrogram"], "data": rows}})


def _cells(windows: Sequence[Window]) -> tuple[list[bytes], list[bytes]]:
    if not windows:
        raise InputError("A request needs at least one window, but has none. Add windows.")
    eeg = [eeg_to_parquet(window.eeg) for window in windows]
    # The server refuses null even where a column is optional; empty bytes mean "none".
    spectrogram = [
        b"" if window.spectrogram is None else spectrogram_to_parquet(window.spectrogram)
        for window in windows
    ]
    return eeg, spectrogram
