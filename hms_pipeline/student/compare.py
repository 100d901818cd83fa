"""The student beside its teacher: nested, on the same windows, by patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Params, Paths
from ..config.paths import FINAL
from ..config.student import STUDENT
from ..ensemble.blend import Blend
from ..ensemble.bootstrap import interval, patient_bootstrap
from ..ensemble.metrics import slice_masks
from ..ensemble.oof import OutOfFold, read_oof
from ..ensemble.stage import Made, plain, prior, summarise, table_of
from ..schema import CLASSES, DECIDING_SLICE
from ..system.errors import InputError
from ..system.files import read_table
from ..training.finished import read_checked, read_manifest
from ..training.metrics import kl_per_window, metric_name
from .teacher import Teacher

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Losses on the kept windows, each by networks that never saw its patient.

    Parameters
    ----------
    oof : OutOfFold
        The student's.
    teacher : array, shape (n_windows, 6)
        The ensemble's nested answers.
    taught_by : str
        Hash of its networks.
    """

    oof: OutOfFold
    teacher: Array
    taught_by: str

    @classmethod
    def read(cls, paths: Paths, params: Params, teacher: Teacher | None = None) -> Comparison:
        """Read both from the trainings' own files, checked by the hashes that these recorded.

        Raises
        ------
        InputError
            A file is missing or changed, or a student was taught by another ensemble.
        """
        teacher = teacher or Teacher.read(paths, params)
        for fold in (*range(params.split.n_folds), FINAL):
            folder = paths.student.fold(STUDENT, fold)
            if read_manifest(folder)["inputs"]["teacher"] != teacher.lesson(fold):
                raise InputError(
                    f"{folder} needs to be taught by the present ensemble, but was by another. Run"
                    " hms student again."
                )
        oof = read_oof(paths.student, params.for_student())
        theirs = teacher.fitted.nested_predict(teacher.oof.probs, teacher.oof.folds)
        return cls(oof, theirs, teacher.bundle.content_hash)

    @property
    def probs(self) -> Array:
        """The student's answers, shape (n_windows, 6)."""
        return self.oof.probs[0]

    @property
    def losses(self) -> Array:
        """KL divergence of student and teacher, shape (n_windows, 2), nats."""
        target = self.oof.target
        return np.stack([kl_per_window(target, p) for p in (self.probs, self.teacher)], axis=1)

    def made(self, paths: Paths, params: Params) -> Made:
        """What the student's folder says of it, with the answers of the one that answers."""
        folder = paths.student.fold(STUDENT, FINAL)
        content = read_checked(folder, read_manifest(folder), "oof.parquet")
        final = read_table(folder / "oof.parquet", content=content).set_index("label_id")
        answers = final.loc[self.oof.label_ids, list(CLASSES)].to_numpy(float)
        return Made(
            weights=plain({**Blend.equal((STUDENT,)).to_dict(), "members": [STUDENT]}),
            metrics=plain(summarise(self.oof, self._predictions(), params.ensemble)),
            table=table_of(self.oof, self.probs),
            oof=replace(self.oof, probs=answers[None]),
        )

    def _predictions(self) -> dict[str, Any]:
        usual = prior(self.oof.target, self.oof.folds, self.oof.deciding)
        return {
            "members": {},
            "blends": {},
            "ensemble": self.probs,
            "baselines": {"teacher": self.teacher, "prior": usual},
        }

    def summary(self, params: Params) -> dict[str, float]:
        """Flat: the student's KL and its loss to the teacher by slice, with intervals.

        ``kl, teacher, loss, loss_low, loss_high`` of the deciding slice, and the same of the
        others with the slice's name behind: ``kl_all`` …
        """
        found: dict[str, float] = {}
        how = params.ensemble
        for name, rows in slice_masks(self.oof.n_votes).items():
            losses = self.losses[rows]
            samples = patient_bootstrap(losses, self.oof.patients[rows], how.bootstrap, how.seed)
            low, high = interval(samples[:, 0] - samples[:, 1], how.confidence)
            student, teacher = losses.mean(axis=0).tolist()
            end = suffix(name)
            numbers = {"kl": student, "teacher": teacher, "loss": student - teacher}
            numbers |= {"loss_low": low, "loss_high": high}
            found |= {f"{key}{end}": value for key, value in numbers.items()}
        return found


def suffix(votes: str) -> str:
    """What stands behind the names of a slice's numbers; nothing for the deciding one's."""
    return "" if votes == DECIDING_SLICE else metric_name(votes).removeprefix("kl")
