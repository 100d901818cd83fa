"""One pass over all files on several processes → tables that stay small."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.validation import ValidationParams
from ..data.competition import eeg_path, spectrogram_path
from ..system.processes import process_map
from ..system.progress import Progress, silent
from .matching import Match, candidates, compare
from .measure import WINDOW_MEASURES, Measured, Task, measure

BATCH = 16  # files that a process is given at once
OFFSETS = {"eeg": "eeg_label_offset_seconds", "spectrogram": "spectrogram_label_offset_seconds"}
PATHS = {"eeg": eeg_path, "spectrogram": spectrogram_path}


@dataclass
class Survey:
    """What the pass found.

    Parameters
    ----------
    recordings : DataFrame
        One row per file, sorted by kind and id.
    windows : DataFrame
        The rows of train.csv with the measures of their windows (``eeg_dead`` …).
    matches : tuple of Match
        Pairs of EEGs that were compared because they share landmarks.
    """

    recordings: pd.DataFrame
    windows: pd.DataFrame
    matches: tuple[Match, ...]


def survey(
    root: Path,
    train: pd.DataFrame,
    params: ValidationParams,
    *,
    workers: int | None = None,
    progress: Progress = silent,
    meanwhile: Callable[[], object] = lambda: None,
) -> Survey:
    """Measure every file that train.csv names or the folder holds.

    Parameters
    ----------
    root : Path
        The competition folder.
    train : DataFrame
        train.csv with whole ids; its index labels the windows.
    params : ValidationParams
        Levels and thresholds.
    workers : int or None
        Processes; None takes one per core that this process may use.
    progress : callable, optional
        Called with (files done, files in all).
    meanwhile : callable
        Called while the processes measure.

    Raises
    ------
    InputError
        A process died.
    """
    tasks = list(_tasks(root, train))
    most = -(-len(tasks) // BATCH)
    with process_map(workers, most, "Validation", "nothing of this run stays") as run:
        results = run(partial(measure, params=params), tasks, chunksize=BATCH)
        meanwhile()
        recordings, measures, landmarks = _collect(train, results, len(tasks), progress)
        found = _candidates(recordings, *landmarks, params.near_duplicate.votes)
        matches = tuple(run(partial(compare, root), found, chunksize=4))
    return Survey(recordings, pd.concat([train, measures], axis=1), matches)


def _tasks(root: Path, train: pd.DataFrame) -> Iterator[Task]:
    for kind, path in PATHS.items():
        offsets = {
            int(key): tuple(group.to_numpy(float))
            for key, group in train.groupby(f"{kind}_id", sort=True)[OFFSETS[kind]]
        }
        for key in sorted(offsets.keys() | _present(path(root, 0).parent)):
            yield Task(kind, key, path(root, key), offsets.get(key, ()))


def _present(folder: Path) -> set[int]:
    """Ids of the files in a folder, whether or not train.csv names them."""
    if not folder.is_dir():
        return set()
    names = (entry.name for entry in os.scandir(folder))
    stems = (name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))
    return {int(stem) for stem in stems if stem.isascii() and stem.isdigit()}


def _collect(
    train: pd.DataFrame, results: Iterable[Measured], total: int, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Gather the files' rows, their windows' measures in train.csv's order, and all landmarks."""
    rows, hashes, times, owners = [], [], [], []
    places = {kind: train.groupby(f"{kind}_id").indices for kind in PATHS}
    measures = {
        kind: np.full((len(train), len(names)), np.nan, np.float32)
        for kind, names in WINDOW_MEASURES.items()
    }
    for done, result in enumerate(results, 1):
        kind, key = result.task.kind, result.task.id
        rows.append(result.row | {"n_windows": len(result.task.offsets)})
        if result.task.offsets:
            measures[kind][places[kind][key]] = result.windows
        hashes.append(result.hashes)
        times.append(result.times)
        owners.append(np.full(len(result.hashes), key, np.int64))
        progress(done, total)
    columns = {
        f"{kind}_{name}": measures[kind][:, column]
        for kind, names in WINDOW_MEASURES.items()
        for column, name in enumerate(names)
    }
    landmarks: tuple[Any, ...] = tuple(
        np.concatenate(parts) if parts else np.empty(0) for parts in (hashes, times)
    )
    owned = np.concatenate(owners) if owners else np.empty(0, np.int64)
    return _table(rows), pd.DataFrame(columns, index=train.index), (*landmarks, owned)


COLUMNS = {
    "kind": "object",
    "id": "int64",
    "n_windows": "int64",
    "fault": "object",
    "fault_detail": "object",
    "n_bytes": "Int64",
    "file_hash": "object",
    "content_hash": "object",
    "n_samples": "Int64",
    "duration_s": "float64",
    "missing_share": "float64",
    "missing_s": "float64",
    "n_dead": "Int64",
    "n_saturated": "Int64",
    "n_extreme": "Int64",
    "amplitude_uv": "float64",
    "time_step_s": "float64",
    "n_landmarks": "Int64",
    "channel_missing_share": "object",
    "channel_missing_s": "object",
    "channel_dead_share": "object",
    "channel_saturated_share": "object",
    "channel_extreme_share": "object",
}


def _table(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["kind", "id"], ignore_index=True)


def _candidates(
    recordings: pd.DataFrame, hashes: np.ndarray, times: np.ndarray, owners: np.ndarray, votes: int
) -> list:
    """Candidate pairs among EEGs of distinct content: exact copies are found by their hash."""
    eegs = recordings[(recordings["kind"] == "eeg") & (recordings["fault"] == "")]
    distinct = eegs.drop_duplicates("content_hash")["id"].to_numpy()
    kept = np.isin(owners, distinct)
    return candidates(hashes[kept], times[kept], owners[kept], votes)
