"""A request's table of parquet cells → a table of probabilities; every fault in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..data.recording import open_parquet, read_eeg, read_spectrogram
from ..data.window import Window
from ..schema import SPECTROGRAM_ROWS, VOTE_COLUMNS, WINDOW_SAMPLES
from ..system.errors import InputError
from .predictor import Predictor

# Rows of each column's parquet, in words, and what reads it.
_COLUMNS: Mapping[str, tuple[int, str, Callable[[bytes], np.ndarray]]] = {
    "eeg": (WINDOW_SAMPLES, "50 s at 200 Hz", read_eeg),
    "spectrogram": (SPECTROGRAM_ROWS, "10 min in steps of 2 s", read_spectrogram),
}


def score_frame(
    predictor: Predictor, frame: pd.DataFrame, params: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Score a request.

    Parameters
    ----------
    predictor : Predictor
    frame : DataFrame
        ``eeg``: bytes of an EEG parquet of exactly 50 s; ``spectrogram``, optional: bytes of a
        spectrogram parquet of exactly 300 rows, or nothing (null, empty bytes, ``""``).
    params : mapping, optional
        ``details``: also return ``members_used`` and ``warnings``, joined by ``"; "``.

    Returns
    -------
    DataFrame
        Six doubles ``seizure_vote … other_vote`` a row, in the request's order.

    Raises
    ------
    InputError
        The caller's fault; the sentence names row and column and repeats nothing of the data.
    RuntimeError
        A fault of the server.
    """
    _check_frame(predictor, frame)
    most = int(predictor.bundle.params.registry.max_cell_mb * 2**20)
    spectrograms = frame.get("spectrogram", pd.Series([None] * len(frame), dtype=object))
    scores = predictor.predict(_Cells(frame["eeg"].tolist(), spectrograms.tolist(), most))
    if not np.isfinite(scores.probs).all():
        raise RuntimeError("The ensemble gives probabilities that are not finite.")
    table = pd.DataFrame(scores.probs, columns=list(VOTE_COLUMNS))
    if (params or {}).get("details"):
        table["members_used"] = ["; ".join(used) for used in scores.members_used]
        table["warnings"] = ["; ".join(said) for said in scores.warnings]
    return table


class _Cells(Sequence[Window]):
    """A request's windows, each unpacked when its turn comes: not all of them at once."""

    def __init__(self, eeg: list[Any], spectrogram: list[Any], most: int) -> None:
        self._eeg, self._spectrogram, self._most = eeg, spectrogram, most

    def __len__(self) -> int:
        return len(self._eeg)

    def __getitem__(self, row: Any) -> Any:
        eeg = _values(self._eeg[row], "eeg", row, self._most)
        if eeg is None:
            raise InputError(
                f"Row {row}, column eeg: needs the bytes of an EEG parquet, but is empty. Send"
                " them."
            )
        return Window(eeg, _values(self._spectrogram[row], "spectrogram", row, self._most))


def _check_frame(predictor: Predictor, frame: pd.DataFrame) -> None:
    most = predictor.bundle.params.scoring.max_rows
    if "eeg" not in frame:
        raise InputError("A request needs the column eeg, but lacks it. Send it as parquet bytes.")
    if not 1 <= len(frame) <= most:
        raise InputError(
            f"A request needs 1 to {most} windows, but has {len(frame)}. Send them in parts."
        )


def _values(cell: object, column: str, row: int, most: int) -> np.ndarray | None:
    """A cell's signal; None where there is none. Its length is known before it is unpacked."""
    where = f"Row {row}, column {column}"
    content = _content(cell, where, most)
    if content is None:
        return None
    n_rows, span, read = _COLUMNS[column]
    try:
        found = open_parquet(content, "The parquet").metadata.num_rows
        if found == n_rows:
            return read(content)
    except InputError as err:
        raise InputError(f"{where}: {err}") from None
    raise InputError(
        f"{where}: needs {n_rows} rows ({span}), but has {found}. Resample or cut the window."
    )


def _content(cell: object, where: str, most: int) -> bytes | None:
    """The cell's bytes; None where it says that there is none."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, str) and not cell:
        return None
    if not isinstance(cell, bytes | bytearray | memoryview):
        raise InputError(
            f"{where}: needs the bytes of a parquet file, but is {type(cell).__name__}. In JSON"
            " send them as base64."
        )
    if len(cell) > most:
        raise InputError(
            f"{where}: may hold {most / 2**20:g} MB, but has {len(cell) / 2**20:.1f}. Send one"
            " window a row."
        )
    return bytes(cell) or None
