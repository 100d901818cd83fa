"""Stage `student`: the students of the folds, the one that answers, and both beside the teacher."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Params, Paths
from ..config.keys import code_key
from ..config.paths import FINAL
from ..config.student import STUDENT
from ..ensemble.stage import METRICS, TABLE, WEIGHTS, plain
from ..schema import VOTE_SLICES
from ..system.errors import InputError
from ..system.files import (
    hash_file,
    hash_json,
    read_sealed,
    write_json,
    write_sealed,
    write_table,
)  # fmt: skip
from ..system.progress import Progress, silent
from ..training.callback import TrainingCallback
from ..training.finished import MANIFEST, read_manifest, view_hash
from ..training.stage import finish_fold
from ..training.train import Trainer
from .compare import Comparison, suffix
from .teacher import Teacher
from .windows import StudentData, overlapping, read_training_windows, student_views

SUMMARY = "summary.json"


def run(
    paths: Paths,
    params: Params,
    *,
    device: str = "auto",
    callback: Callable[[], TrainingCallback] = TrainingCallback,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train one student a fold and the one that answers; compare them with the ensemble.

    Finished trainings are found by the hash of what they read; killed ones go on. A recipe
    without a student leaves an empty summary.

    Parameters
    ----------
    paths : Paths
    params : Params
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda[:N]"``.
    callback : callable
        Makes the callback of one training.
    progress : callable
        Takes steps done and in all, of what is worked on.

    Returns
    -------
    dict
        The content of ``summary.json``.

    Raises
    ------
    InputError
        Missing or stale inputs, too little memory, divergence.
    """
    out = paths.student.ensemble
    if params.student is None:
        _write_summary(out, {})
        return {}
    code_key(paths, params, "student")  # refuses if DVC was given the key of other code
    student_views(params)
    teacher = Teacher.read(paths, params)
    work = _Work(paths, params, teacher, device, progress)
    for fold in (*range(params.split.n_folds), FINAL):
        finish_fold(
            paths,
            STUDENT,
            fold,
            work.inputs(fold),
            paths.student.fold(STUDENT, fold),
            lambda fold, key, folder: work.trainer.train(fold, key, folder, callback(), progress),
        )
    return _write_results(paths, params, teacher)


def by_votes(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """A summary as rows: votes, student, teacher, the student's loss and its interval."""
    columns = {"student": "kl", "teacher": "teacher", "loss": "loss", "low": "loss_low"}
    columns["high"] = "loss_high"
    return [
        {"votes": name, **{title: summary[key + suffix(name)] for title, key in columns.items()}}
        for name in VOTE_SLICES
        if f"kl{suffix(name)}" in summary
    ]


class _Work:
    """What the trainings share, made when the first of them needs it."""

    def __init__(
        self, paths: Paths, params: Params, teacher: Teacher, device: str, progress: Progress
    ) -> None:
        self.paths, self.params, self.teacher = paths, params, teacher
        self.device, self.progress = device, progress
        self.inputs = cache(self._inputs)

    @cached_property
    def more(self) -> pd.DataFrame:
        """Overlapping windows, where the recipe wants them."""
        windows = overlapping(self.paths)
        return windows if self.params.student.overlaps else windows.iloc[:0]

    @cached_property
    def shared_inputs(self) -> dict[str, Any]:
        """Hashes of what every training reads."""
        paths, params, student = self.paths, self.params, self.params.student
        return {
            "views": {name: view_hash(paths, STUDENT, name) for name in student.views},
            "windows": hash_file(paths.windows),
            "folds": hash_file(paths.folds),
            "overlapping": hash_json([hash_file(paths.recordings), self.more.to_csv(index=False)])
            if len(self.more)
            else None,
            "params": hash_json(
                {
                    "training": params.for_student().training.model_dump(mode="json"),
                    "student": student.model_dump(mode="json"),
                }
            ),
            "code": code_key(paths, params, "distil"),
        }

    def _inputs(self, fold: int | str) -> dict[str, Any]:
        return {**self.shared_inputs, "teacher": self.teacher.lesson(fold)}

    @cached_property
    def trainer(self) -> Trainer:
        """Trains any of them."""
        return Trainer(self.paths, self.params.for_student(), STUDENT, self._read, self.device)

    def _read(self) -> StudentData:
        args = self.more, self.device, self.progress
        windows = read_training_windows(self.paths, self.params, *args)
        kept = windows.label_ids[: len(windows.label_ids) - len(self.more)]
        answers = self.teacher.answers(kept, *args)
        return StudentData(
            **vars(windows),
            n_kept=len(kept),
            votes_share=self.params.student.votes_share,
            teach=lambda fold: self.teacher.soft_targets(answers, fold),
            inputs_of=self.inputs,
        )


def _write_results(paths: Paths, params: Params, teacher: Teacher) -> dict[str, Any]:
    """Write weights, metrics and summary, in files named as in an ensemble's folder."""
    out = paths.student.ensemble
    found = Comparison.read(paths, params, teacher)
    summary = plain(found.summary(params))
    made = found.made(paths, params)
    write_sealed(out / WEIGHTS, made.weights)
    write_sealed(out / METRICS, made.metrics)
    write_table(out / TABLE, made.table)
    _write_summary(out, summary, **_manifest(paths, params, teacher))
    return summary


def _write_summary(out: Path, summary: dict[str, float], **made_of: Any) -> None:
    write_json(out / SUMMARY, summary)  # without a seal, which DVC would show as a metric
    write_sealed(out / MANIFEST, {**made_of, "summary": hash_file(out / SUMMARY)})


def read_summary(paths: Paths) -> dict[str, float]:
    """The student's KL beside its teacher's; empty where the recipe has no student.

    Raises
    ------
    InputError
        It is missing, or not as it was written.
    """
    out = paths.student.ensemble
    stated = read_sealed(out / MANIFEST, "hms student").get("summary")
    content = (out / SUMMARY).read_bytes() if (out / SUMMARY).is_file() else b""
    if hashlib.sha256(content).hexdigest() != stated:
        raise InputError(f"{out / SUMMARY} is not as it was written. Run hms student.")
    return json.loads(content)


def _manifest(paths: Paths, params: Params, teacher: Teacher) -> dict[str, Any]:
    folds = (*range(params.split.n_folds), FINAL)
    student = params.student
    return {
        "architecture": student.architecture,
        "views": list(student.views),
        "model": student.model,
        "votes_share": student.votes_share,
        "teacher": teacher.bundle.content_hash,
        "trainings": {
            str(fold): read_manifest(paths.student.fold(STUDENT, fold))["content_hash"]
            for fold in folds
        },
    }
