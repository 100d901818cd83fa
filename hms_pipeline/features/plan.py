"""Which window goes into which shard, and by what key a computed row may be used again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import Paths
from ..data.competition import eeg_path, spectrogram_path
from ..system.errors import InputError
from ..system.files import hash_bytes, hash_file, hash_json, read_table
from .store import FORMAT
from .view import BuiltView

logger = logging.getLogger(__name__)

ROWS_PER_SHARD = 256
FILES = {"eeg": eeg_path, "spectrogram": spectrogram_path}
READ_COLUMNS = (
    "eeg_id",
    "eeg_label_offset_seconds",
    "spectrogram_id",
    "spectrogram_label_offset_seconds",
)


def plan_rows(paths: Paths, view: BuiltView, code: str) -> pd.DataFrame:
    """Place every kept window.

    A shard holds whole patients, chosen by a hash of the patient's id, so that new recordings
    change only the shards of their patients. The number of shards is a power of two and grows
    with the data; when it doubles, rows are copied, not computed.

    Parameters
    ----------
    paths : Paths
    view : BuiltView
    code : str
        Hash of the code that a value depends on.

    Returns
    -------
    DataFrame
        ``label_id, shard, row, source, key`` and the columns that a reader needs, sorted by
        shard and row; rows of a shard by spectrogram, EEG and offset. ``source`` says what the
        row is cut from: the recordings' hashes and the offsets. ``key`` is a hash of everything
        that its value depends on: the source, and the view's parameters and code.

    Raises
    ------
    InputError
        There are no kept windows.
    """
    windows = _read_windows(paths.windows)
    n_shards = 1 << max(0, int(np.ceil(np.log2(len(windows) / ROWS_PER_SHARD))))
    patients = windows["patient_id"].unique()
    shard = {patient: _bucket(int(patient), n_shards) for patient in patients}
    windows["shard"] = windows["patient_id"].map(shard).astype(np.int64)
    # EEGs of one spectrogram together: a reader keeps the last few files only.
    order = ["shard", "spectrogram_id", "eeg_id", "eeg_label_offset_seconds", "label_id"]
    windows = windows.sort_values(order, ignore_index=True)
    windows["row"] = windows.groupby("shard").cumcount()
    windows["source"] = _sources(paths, windows, view.inputs)
    recipe = recipe_hash(view, code)
    windows["key"] = [hash_bytes(f"{recipe} {s}".encode())[:32] for s in windows["source"]]
    return windows[["label_id", "shard", "row", "source", "key", *READ_COLUMNS]]


def _read_windows(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"Features need {path}, but it is missing. Run `hms validate` first.")
    windows = read_table(path, columns=["label_id", "patient_id", *READ_COLUMNS])
    if windows.empty:
        raise InputError(f"Features need kept windows, but {path} has none. Check quarantine.")
    return windows


def _bucket(patient_id: int, n_shards: int) -> int:
    return int(hash_bytes(str(patient_id).encode())[:8], 16) % n_shards


def recipe_hash(view: BuiltView, code: str) -> str:
    """Hash of the view's name, parameters and code."""
    return hash_json({"format": FORMAT, "view": view.name, "params": view.params, "code": code})


def data_hash(plan: pd.DataFrame) -> str:
    """Hash of the data behind a plan; views of the same inputs have the same."""
    return hash_json(sorted(plan["source"]))


def _sources(paths: Paths, windows: pd.DataFrame, inputs: Sequence[str]) -> list[str]:
    columns: list[list[Any]] = [windows["label_id"].tolist()]
    for kind in inputs:
        ids = windows[f"{kind}_id"]
        hashes = _file_hashes(paths, kind, ids.unique().tolist())
        columns += [ids.map(hashes).tolist(), windows[f"{kind}_label_offset_seconds"].tolist()]
    return [" ".join(map(str, row)) for row in zip(*columns, strict=True)]


def _file_hashes(paths: Paths, kind: str, ids: list[int]) -> dict[int, str]:
    """Hash of each recording: validation's, or made here where validation has none."""
    known: dict[int, str] = {}
    if paths.recordings.is_file():
        table = read_table(paths.recordings, columns=["kind", "id", "file_hash"])
        table = table[(table["kind"] == kind) & table["file_hash"].notna()]
        known = dict(zip(table["id"].tolist(), table["file_hash"].tolist(), strict=True))
    absent = [key for key in ids if not known.get(key)]
    if absent:
        logger.info("%d %s files have no hash from validation; hashing them", len(absent), kind)
    for key in absent:
        path = FILES[kind](paths.data, key)
        if not path.is_file():
            raise InputError(f"{path.name} is needed, but is not there. Run `hms validate` again.")
        known[key] = hash_file(path)
    return known
