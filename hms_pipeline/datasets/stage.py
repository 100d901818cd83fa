"""Stage `split`: validated windows → folds."""

from __future__ import annotations

import json
import logging

import pandas as pd
import pyarrow.parquet as pq

from ..config import Params, Paths
from ..config.split import SplitParams
from ..schema import DECIDING_SLICE, VOTE_COLUMNS, VOTE_SLICES
from ..system.errors import InputError
from ..system.files import read_table, write_table
from .folds import assign_folds

log = logging.getLogger(__name__)

_NOTE = "hms_split"


def run(paths: Paths, params: Params) -> dict:
    """Assign folds and write ``split/folds.parquet``.

    The earlier file is an input: patients in it keep their folds, also those that are absent
    today (remembered in the file's metadata). Another ``split.n_folds`` or ``split.seed`` starts
    anew.

    Returns
    -------
    summary : dict
        Windows, patients and windows with 10 votes or more, per fold; new and kept patients.
    """
    windows = read_windows(paths)
    previous = _previous(paths, params.split)
    folds = assign_folds(windows, params.split.n_folds, params.split.seed, previous)
    known = set() if previous is None else set(previous["patient_id"])
    _write(paths, params.split, folds, previous)
    n_votes = windows.set_index("label_id")[list(VOTE_COLUMNS)].sum(axis=1)
    many = folds["label_id"].map(n_votes) >= VOTE_SLICES[DECIDING_SLICE][0]
    by_fold = folds.assign(many=many).groupby("fold")
    patients = set(folds["patient_id"])
    return {
        "windows": by_fold.size().tolist(),
        "patients": by_fold["patient_id"].nunique().tolist(),
        "windows_10_votes": by_fold["many"].sum().tolist(),
        "kept_patients": len(patients & known),
        "new_patients": len(patients - known),
    }


def read_windows(paths: Paths) -> pd.DataFrame:
    """The kept windows, or one sentence that names the command that makes them."""
    if not paths.windows.exists():
        raise InputError(f"Kept windows {paths.windows} are missing. Run `hms validate` first.")
    return read_table(paths.windows)


def read_folds(paths: Paths) -> pd.DataFrame:
    """Columns label_id, patient_id, fold."""
    if not paths.folds.exists():
        raise InputError(f"Folds {paths.folds} are missing. Run `hms split` first.")
    return read_table(paths.folds)


def _previous(paths: Paths, split: SplitParams) -> pd.DataFrame | None:
    if not paths.folds.exists():
        return None
    present = read_folds(paths)[["patient_id", "fold"]].drop_duplicates()
    stored = json.loads((pq.read_schema(paths.folds).metadata or {}).get(_NOTE.encode(), b"{}"))
    if (stored.get("n_folds"), stored.get("seed")) != (split.n_folds, split.seed):
        log.warning("split.n_folds or split.seed changed: all patients get new folds.")
        return None
    absent = pd.DataFrame(stored["absent"], columns=["patient_id", "fold"], dtype="int64")
    return pd.concat([present, absent], ignore_index=True)


def _write(
    paths: Paths, split: SplitParams, folds: pd.DataFrame, previous: pd.DataFrame | None
) -> None:
    absent = []
    if previous is not None:
        gone = previous[~previous["patient_id"].isin(folds["patient_id"])]
        absent = sorted(gone[["patient_id", "fold"]].to_numpy().tolist())
    metadata = {"n_folds": split.n_folds, "seed": split.seed, "absent": absent}
    write_table(paths.folds, folds, {_NOTE: json.dumps(metadata)})
