"""Where defects are made: a sample's folder, its rows, and the list of what was done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ...catalogue import Catalogue
from ...schema import SPECTROGRAM_COLUMNS
from ...system.errors import InputError
from ..truth import Truth


class Desk:
    """A sample in the making, and which of its recordings are still untouched.

    Parameters
    ----------
    folder : Path
        The competition folder.
    rows : DataFrame
        train.csv; replaced as defects change it.
    rng : Generator
    dirty : set of int
        Ids of EEGs whose signal already has findings of its own; defects leave them alone.
    """

    def __init__(
        self, folder: Path, rows: pd.DataFrame, rng: np.random.Generator, dirty: set[int]
    ) -> None:
        self.folder = folder
        self.rows = rows
        self.rng = rng
        self.truth: list[Truth] = []
        self._used = set(dirty)
        self._ids = set(rows[["eeg_id", "spectrogram_id", "label_id"]].to_numpy().ravel())
        order = rows["eeg_id"].unique()
        self._order = [int(key) for key in rng.permutation(order)]
        self._original = rows.copy()

    def take_eeg(self, min_rows: int = 1, min_s: float = 0.0) -> int:
        """An untouched EEG with at least so many windows and seconds."""
        for key in self._order:
            if key in self._used or len(self.rows_of(key)) < min_rows:
                continue
            if min_s and self.read("eeg", key).num_rows < min_s * 200:
                continue
            self._used.add(key)
            return key
        raise self._too_few()

    def take_spectrogram(self, n_eegs: int = 1) -> int:
        """A spectrogram all of whose EEGs are untouched; they count as touched then."""
        for key in self._order:
            rows = self._original
            spectrogram = int(rows.loc[rows["eeg_id"] == key, "spectrogram_id"].iloc[0])
            eegs = {int(k) for k in rows.loc[rows["spectrogram_id"] == spectrogram, "eeg_id"]}
            if len(eegs) >= n_eegs and not eegs & self._used:
                self._used |= eegs
                return spectrogram
        raise self._too_few()

    def rows_of(self, key: int, column: str = "eeg_id") -> pd.DataFrame:
        """Rows of train.csv with an id."""
        return self.rows[self.rows[column] == key]

    def path(self, kind: str, key: int) -> Path:
        """File of a recording."""
        return self.folder / f"train_{kind}s" / f"{key}.parquet"

    def read(self, kind: str, key: int):
        """A file as a pyarrow table."""
        return pq.read_table(self.path(kind, key))

    def eeg(self, key: int) -> np.ndarray:
        """Samples of an EEG, array of shape (20, n_times)."""
        return np.stack([column.to_numpy() for column in self.read("eeg", key).columns])

    def spectrogram(self, key: int) -> np.ndarray:
        """A spectrogram, array of shape (4, 100, n_rows)."""
        table = self.read("spectrogram", key).select(SPECTROGRAM_COLUMNS[1:])
        return np.stack([column.to_numpy() for column in table.columns]).reshape(4, 100, -1)

    def new_id(self) -> int:
        """An id that no recording has yet."""
        while (number := int(self.rng.integers(1, 2**32))) in self._ids:
            pass
        self._ids.add(number)
        return number

    def set(self, index: object, column: str | list[str], value: object) -> None:
        """Change one cell of train.csv."""
        self.rows.loc[index, column] = value

    def append(self, row: pd.Series, **changes: object) -> int:
        """Add a row like another one, with a label of its own unless one is given."""
        values = row.to_dict() | {"label_id": self.new_id()} | changes
        added = pd.DataFrame([values]).astype(self.rows.dtypes)
        self.rows = pd.concat([self.rows, added], ignore_index=True)
        return int(values["label_id"])

    def record(self, kind: str, key: int, rule: str, detail: str, **more: Any) -> None:
        """Put one line on the list."""
        self.truth.append(Truth(kind, int(key), rule, detail, **more))

    def record_windows(self, kind: str, key: int, rule: str, detail: str, **more: Any) -> None:
        """Put every window of an EEG or spectrogram on the list."""
        for label in self.rows_of(key, f"{kind}_id")["label_id"]:
            self.record("window", label, rule, detail, **more)

    def _too_few(self) -> InputError:
        return InputError(
            "Planting every defect needs more recordings than the sample has "
            f"({len(self._order)} EEGs). Give more --patients."
        )


Defect = Callable[[Desk, str], None]
DEFECTS: Catalogue[Defect] = Catalogue("defect")
