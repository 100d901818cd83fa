"""The embedded data set in the competition's layout."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from ..data.write import write_eeg, write_spectrogram
from ..schema import CLASSES, SUBMISSION_COLUMNS, TEST_COLUMNS, TRAIN_COLUMNS, VOTE_COLUMNS
from ..system.errors import InputError
from ..system.files import atomic, write_csv
from ..system.processes import process_map
from ..system.progress import Progress, silent
from .defects import plant_defects
from .plan import SessionPlan, plan_test, plan_train, train_rows
from .session import simulate_session
from .truth import Truth, simulated_findings, truth_table
from .variation import check_sources

LOG = logging.getLogger(__name__)
FOLDERS = ("train_eegs", "train_spectrograms", "test_eegs", "test_spectrograms")
TABLES = ("train.csv", "test.csv", "sample_submission.csv", "defects_truth.csv")


def write_sample(
    out: Path,
    *,
    patients: int,
    test_windows: int,
    seed: int,
    proportions: str = "even",
    leave_out: tuple[str, ...] = (),
    defects: bool = False,
    workers: int | None = None,
    progress: Progress = silent,
) -> None:
    """Write a simulated competition folder; equal arguments give equal bytes.

    Parameters
    ----------
    out : Path
        Folder to write; one that holds an earlier sample is replaced.
    patients : int
        Patients of the training set.
    test_windows : int
        Windows of the test set, each of another patient.
    seed : int
    proportions : str
        Make-up of the set: a key of ``plan.PROPORTIONS``.
    leave_out : tuple of str
        Sources of variation to do without: names of ``variation.source_names()``.
    defects : bool
        Plant defects and write their truth to ``defects_truth.csv``.
    workers : int or None
        Processes; None: one per core. The bytes do not depend on it.
    progress : callable or None
        Called with (sessions done, sessions in all).

    Raises
    ------
    InputError
        The folder holds something that is not a sample; a source is unknown.
    """
    out = Path(out)
    check_sources(leave_out)
    _check_replaceable(out)
    with atomic(out) as folder:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        train = plan_train(seed, patients, proportions)
        test = plan_test(seed, test_windows, train, proportions)
        tasks = [(folder, seed, leave_out, "train", session) for session in train]
        tasks += [(folder, seed, leave_out, "test", session) for session in test]
        simulated: list[Truth] = []
        with process_map(workers, len(tasks), "The simulation", "nothing of it stays") as run:
            for done, found in enumerate(run(_write_session, tasks), start=1):
                simulated += found if done <= len(train) else []
                progress(done, len(tasks))
        rows = pd.DataFrame(train_rows(train), columns=list(TRAIN_COLUMNS))
        if defects:
            rows, truth = plant_defects(folder, rows, seed, patients, simulated)
            write_csv(folder / "defects_truth.csv", truth_table(truth))
        write_csv(folder / "train.csv", rows)
        _write_test_tables(folder, test)
    LOG.info("Sample of %d windows in %s.", len(rows), out)


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"The sample needs a folder, but {out} is a file. Give another --out.")
    foreign = sorted(path.name for path in out.iterdir() if path.name not in FOLDERS + TABLES)
    if foreign:
        raise InputError(
            f"The sample replaces {out}, but that folder holds other files ({foreign[0]}, "
            f"{len(foreign)} in all). Give an empty folder or a new one."
        )


def _write_session(task: tuple[Path, int, tuple[str, ...], str, SessionPlan]) -> list[Truth]:
    """Write a session's files; what its windows have of gaps and extremes."""
    folder, seed, leave_out, split, plan = task
    session = simulate_session(seed, plan, missing=split == "train", leave_out=leave_out)
    for eeg, samples in session.eegs:
        write_eeg(folder / f"{split}_eegs" / f"{eeg.eeg_id}.parquet", samples, simulated=True)
    path = folder / f"{split}_spectrograms" / f"{plan.spectrogram_id}.parquet"
    write_spectrogram(path, session.spectrogram, "int64" if split == "train" else "int16")
    return simulated_findings(session)


def _write_test_tables(folder: Path, sessions: list[SessionPlan]) -> None:
    ids = [(plan.spectrogram_id, plan.eegs[0].eeg_id, plan.patient_id) for plan in sessions]
    write_csv(folder / "test.csv", pd.DataFrame(ids, columns=list(TEST_COLUMNS)))
    submission = pd.DataFrame({"eeg_id": [eeg_id for _, eeg_id, _ in ids]})
    for name in VOTE_COLUMNS:
        submission[name] = 1 / len(CLASSES)
    write_csv(folder / "sample_submission.csv", submission[list(SUBMISSION_COLUMNS)])
