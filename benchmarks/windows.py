"""Simulated windows in memory, without files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hms_pipeline.schema import (
    EEG_COLUMNS,
    SFREQ,
    SPECTROGRAM_FREQS,
    SPECTROGRAM_ROWS,
    SPECTROGRAM_STEP_S,
    VOTE_COLUMNS,
    WINDOW_SAMPLES,
)
from hms_pipeline.simulator.plan import SessionPlan, plan_train, train_rows
from hms_pipeline.simulator.session import simulate_session
from hms_pipeline.simulator.variation import check_sources
from hms_pipeline.system.processes import process_map


@dataclass(frozen=True)
class SampleArrays:
    """Windows in memory, one per pair of EEG and votes.

    Parameters
    ----------
    eeg : array, shape (n, 20, 10000), float32 uV
    spectrogram : array, shape (n, 4, 100, 300), float32
    votes : array, shape (n, 6), int
    label_id, patient_id, eeg_id : array, shape (n,), int
    """

    eeg: np.ndarray
    spectrogram: np.ndarray
    votes: np.ndarray
    label_id: np.ndarray
    patient_id: np.ndarray
    eeg_id: np.ndarray


def simulate_arrays(
    *,
    patients: int,
    seed: int,
    limit: int | None = None,
    leave_out: tuple[str, ...] = (),
    workers: int | None = None,
) -> SampleArrays:
    """Simulate windows without files; of windows of one EEG with the same votes, the middle one.

    Parameters
    ----------
    patients : int
        About 4 windows each come of it.
    seed : int
    limit : int or None
        At most so many windows: further patients are left out.
    leave_out : tuple of str
        Sources of variation to do without.
    workers : int or None
        Processes; None: one per core.

    Returns
    -------
    SampleArrays
        40 kB of EEG per channel and window: 20,000 windows take 26 GB.
    """
    check_sources(leave_out)
    sessions = plan_train(seed, patients)
    chosen = [(session, middle_windows(session)) for session in sessions]
    if limit is not None:
        total = np.cumsum([len(rows) for _, rows in chosen])
        chosen = chosen[: int(np.searchsorted(total, limit)) + 1]
    n = min(sum(len(rows) for _, rows in chosen), limit or 10**9)
    eeg = np.empty((n, len(EEG_COLUMNS), WINDOW_SAMPLES), np.float32)
    spectrogram = np.empty((n, 4, len(SPECTROGRAM_FREQS), SPECTROGRAM_ROWS), np.float32)
    rows: list[dict[str, Any]] = []
    tasks = [(seed, leave_out, session, picked) for session, picked in chosen]
    with process_map(workers, len(tasks), "The simulation", "nothing of it stays") as run:
        for (_, picked), windows in zip(chosen, run(session_windows, tasks), strict=True):
            for row, (samples, image) in zip(picked, windows, strict=True):
                if len(rows) < n:
                    eeg[len(rows)], spectrogram[len(rows)] = samples, image
                    rows.append(row)

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], np.int64)

    votes = np.stack([column(name) for name in VOTE_COLUMNS], axis=1)
    ids = {name: column(name) for name in ("label_id", "patient_id", "eeg_id")}
    return SampleArrays(eeg=eeg, spectrogram=spectrogram, votes=votes, **ids)


def middle_windows(session: SessionPlan) -> list[dict[str, Any]]:
    """One row per EEG and votes: the middle one by offset."""
    groups: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for row in train_rows([session]):
        key = (row["eeg_id"], *(row[name] for name in VOTE_COLUMNS))
        groups.setdefault(key, []).append(row)
    return [rows[len(rows) // 2] for rows in groups.values()]


def session_windows(
    task: tuple[int, tuple[str, ...], SessionPlan, list[dict[str, Any]]],
) -> list[tuple[np.ndarray, np.ndarray]]:
    seed, leave_out, plan, rows = task
    session = simulate_session(seed, plan, missing=False, leave_out=leave_out)
    eegs = {eeg.eeg_id: samples for eeg, samples in session.eegs}
    windows = []
    for row in rows:
        start = int(row["eeg_label_offset_seconds"] * SFREQ)
        first = int(row["spectrogram_label_offset_seconds"] / SPECTROGRAM_STEP_S)
        windows.append((
            eegs[row["eeg_id"]][:, start : start + WINDOW_SAMPLES],
            session.spectrogram[..., first : first + SPECTROGRAM_ROWS],
        ))  # fmt: skip
    return windows
