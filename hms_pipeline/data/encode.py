"""Windows as parquet bytes, the form in which a client posts them.

Pages carry checksums: without them a flipped bit decodes silently to another sample.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..schema import EEG_COLUMNS, SPECTROGRAM_COLUMNS, SPECTROGRAM_STEP_S
from ..system.errors import InputError


def eeg_to_parquet(eeg: np.ndarray) -> bytes:
    """EEG as the bytes of a competition parquet.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts in ``schema.EEG_COLUMNS`` order.

    Returns
    -------
    bytes
        ``read_eeg`` gives the same float32 values back.
    """
    eeg = np.asarray(eeg, np.float32)
    if eeg.ndim != 2 or eeg.shape[0] != len(EEG_COLUMNS):
        raise InputError(
            f"eeg must have shape ({len(EEG_COLUMNS)}, n_times), but has {eeg.shape}."
            " Transpose it or add the missing channels as NaN."
        )
    return _write([pa.array(row) for row in eeg], EEG_COLUMNS)


def spectrogram_to_parquet(spectrogram: np.ndarray) -> bytes:
    """Spectrogram as the bytes of a competition parquet, ``time`` included.

    Parameters
    ----------
    spectrogram : array, shape (4, 100, n_rows)
        Regions in ``schema.REGIONS`` order, low frequency first.
    """
    spectrogram = np.asarray(spectrogram, np.float32)
    if spectrogram.ndim != 3 or spectrogram.shape[:2] != (4, 100):
        raise InputError(
            f"spectrogram must have shape (4, 100, n_rows), but has {spectrogram.shape}."
            " Order it as regions, frequencies, time."
        )
    n_rows = spectrogram.shape[2]
    time = (1 + SPECTROGRAM_STEP_S * np.arange(n_rows)).astype(np.int64)
    columns = [pa.array(time), *(pa.array(row) for row in spectrogram.reshape(-1, n_rows))]
    return _write(columns, SPECTROGRAM_COLUMNS)


def _write(columns: list[pa.Array], names: tuple[str, ...]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns, names=list(names)),
        sink,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
    )
    return sink.getvalue().to_pybytes()
