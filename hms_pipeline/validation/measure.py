"""Measures one file: its fault or its length, gaps, dead, saturated and extreme stretches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..config.validation import ValidationParams
from ..data.parquet_pages import CheckedFile
from ..data.quality import eeg_masks
from ..data.recording import RecordingError, open_parquet, read_columns, readable
from ..data.window import eeg_start, spectrogram_start
from ..schema import (
    EEG_COLUMNS,
    ELECTRODES,
    REGIONS,
    SFREQ,
    SPECTROGRAM_COLUMNS,
    SPECTROGRAM_ROWS,
    SPECTROGRAM_STEP_S,
)
from .landmarks import landmark_hashes
from .quality import eeg_windows, longest_runs, window_sums

FURTHEST_S = 1e9  # longer than any recording; an offset beyond it cannot be a sample's
WINDOW_MEASURES = {
    "eeg": ("missing_share", "missing_s", "dead", "saturated_share", "extreme_share"),
    "spectrogram": ("missing_share",),
}


@dataclass(frozen=True)
class Task:
    """One file to measure, with the offsets (s) of the windows that are cut from it."""

    kind: str
    id: int
    path: Path
    offsets: tuple[float, ...]


@dataclass
class Measured:
    """What one file gave.

    Parameters
    ----------
    task : Task
        The file.
    row : dict
        One row of recordings.parquet.
    windows : array, shape (n_offsets, n_measures), float32
        ``WINDOW_MEASURES`` of each window; NaN where the window is not inside the file.
    hashes, times : array
        Landmark hashes of an EEG.
    """

    task: Task
    row: dict[str, Any]
    windows: np.ndarray
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    times: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))


def measure(task: Task, params: ValidationParams) -> Measured:
    """Read and measure one file; a file that cannot be used becomes a row with its fault."""
    row: dict[str, Any] = {"kind": task.kind, "id": task.id, "fault": "", "fault_detail": ""}
    windows = np.full((len(task.offsets), len(WINDOW_MEASURES[task.kind])), np.nan, np.float32)
    measured = Measured(task, row, windows)
    try:
        with readable(task.path.name, task.path.parent.name):
            content = task.path.read_bytes()
        row["n_bytes"], row["file_hash"] = len(content), hashlib.sha256(content).hexdigest()
        file = open_parquet(content, task.path.name)
        if task.kind == "eeg":
            _measure_eeg(measured, file, params)
        else:
            _measure_spectrogram(measured, file)
    except RecordingError as err:
        row["fault"], row["fault_detail"] = err.fault, str(err)
    return measured


def _check_layout(file: CheckedFile, columns: tuple[str, ...], label: str) -> None:
    """The competition's files hold exactly these columns, float32 but for ``time``."""
    schema = file.schema_arrow
    # The only column that may lack without an error of the reader.
    if "time" in columns and "time" not in schema.names:
        raise RecordingError(
            f"{label} needs {len(columns)} columns, but lacks time. Export it again in the"
            " competition's layout.",
            "wrong_columns",
        )
    extra = sorted(set(schema.names) - set(columns) - {"__index_level_0__"})
    if extra and set(columns) <= set(schema.names):
        raise RecordingError(
            f"{label} needs {len(columns)} columns, but also has {extra[:4]}. Remove them.",
            "wrong_columns",
        )
    for name in columns:
        position = schema.get_field_index(name)
        if position < 0:
            continue  # reading names what is missing
        kind = schema.field(position).type
        if not (pa.types.is_integer(kind) if name == "time" else pa.types.is_float32(kind)):
            raise RecordingError(
                f"{label} needs {'whole' if name == 'time' else 'float32'} {name}, but it is"
                f" {kind}. Write it in the competition's type.",
                "wrong_dtype",
            )


def _measure_eeg(measured: Measured, file: CheckedFile, params: ValidationParams) -> None:
    label = measured.task.path.name
    _check_layout(file, EEG_COLUMNS, label)
    eeg, _ = read_columns(file, EEG_COLUMNS, label)
    masks = eeg_masks(eeg, params)
    share = {name: mask.mean(axis=1) for name, mask in masks.items()}
    gaps = longest_runs(masks["missing"]) / SFREQ
    measured.row |= {
        "content_hash": _content_hash(eeg),
        "n_samples": eeg.shape[1],
        "duration_s": eeg.shape[1] / SFREQ,
        "missing_share": float(masks["missing"].mean()),
        "missing_s": float(gaps.max()),
        "n_dead": int(np.sum(share["dead"] >= params.dead_channel.share)),
        "n_saturated": int(np.sum(share["saturated"] > params.saturated.share)),
        "n_extreme": int(np.sum(share["extreme"] > params.extreme_amplitude.share)),
        "amplitude_uv": _amplitude(eeg[: len(ELECTRODES)]),
        "channel_missing_s": gaps.astype(np.float32),
        **{f"channel_{name}_share": found.astype(np.float32) for name, found in share.items()},
    }
    starts = _starts(measured.task.offsets, eeg_start)
    measured.windows = eeg_windows(masks, starts, params)
    measured.hashes, measured.times = landmark_hashes(eeg)
    measured.row["n_landmarks"] = len(measured.hashes)


def _measure_spectrogram(measured: Measured, file: CheckedFile) -> None:
    label = measured.task.path.name
    _check_layout(file, SPECTROGRAM_COLUMNS, label)
    values, _ = read_columns(file, SPECTROGRAM_COLUMNS[1:], label)
    missing = ~np.isfinite(values).all(axis=0, keepdims=True)
    by_region = values.reshape(len(REGIONS), -1, values.shape[1])
    measured.row |= {
        "content_hash": _content_hash(values),
        "n_samples": values.shape[1],
        "duration_s": values.shape[1] * SPECTROGRAM_STEP_S,
        "missing_share": float(missing.mean()),
        "missing_s": float(longest_runs(missing)[0] * SPECTROGRAM_STEP_S),
        "n_dead": int(np.sum(np.all(by_region.max(axis=1) == by_region.min(axis=1), axis=1))),
        "time_step_s": _time_step(file, label),
        "channel_missing_share": (~np.isfinite(by_region)).mean(axis=(1, 2)).astype(np.float32),
    }
    starts = _starts(measured.task.offsets, spectrogram_start)
    sums, inside = window_sums(missing, starts, SPECTROGRAM_ROWS)
    measured.windows[inside, 0] = sums[0] / SPECTROGRAM_ROWS


def _starts(offsets: Sequence[float], start: Callable[[float], int]) -> list[int]:
    """First samples of windows; -1, which is outside of every file, where an offset is none."""
    return [start(offset) if 0 <= offset <= FURTHEST_S else -1 for offset in offsets]


def _time_step(file: CheckedFile, label: str) -> float:
    """The step of ``time`` in seconds where it is even, else NaN."""
    with readable(label):
        time = file.read(columns=["time"], use_threads=False).column(0).to_numpy()
    steps = np.unique(np.diff(time.astype(np.float64)))
    return float(steps[0]) if len(steps) == 1 else float("nan")


def _amplitude(scalp: np.ndarray) -> float:
    """99th percentile of the absolute deviation from each electrode's mean (µV)."""
    sample = scalp[:, :: max(1, scalp.shape[1] // 2000)]
    present = np.isfinite(sample)
    if not present.any():
        return float("nan")
    counts = np.maximum(1, present.sum(axis=1, keepdims=True))
    means = np.sum(sample, axis=1, where=present, keepdims=True) / counts
    return float(np.percentile(np.abs(sample - means)[present], 99))


def _content_hash(values: np.ndarray) -> str:
    """Hash of the samples alone: the same signal in another file gives the same."""
    gone = np.isnan(values)
    canonical = np.where(gone, np.float32(np.nan), values) if gone.any() else values
    digest = hashlib.blake2b(str(values.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(canonical).data)
    return digest.hexdigest()
