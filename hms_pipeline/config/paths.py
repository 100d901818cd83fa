"""Where every stage reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODELS = ("hms-ensemble", "hms-student")  # names of the registered models


@dataclass(frozen=True)
class Paths:
    """The files between stages, under any data and artifacts folder.

    Parameters
    ----------
    data : Path
        Raw data in the competition layout; read-only.
    artifacts : Path
        Everything derived.
    params : Path
        The recipe file.
    """

    data: Path = Path("data")
    artifacts: Path = Path("artifacts")
    params: Path = Path("params.yaml")

    @property
    def validated(self) -> Path:
        """Folder of what `validate` writes."""
        return self.artifacts / "validated"

    @property
    def windows(self) -> Path:
        """Kept windows: train.csv's columns, one row per label_id."""
        return self.validated / "windows.parquet"

    @property
    def quarantine(self) -> Path:
        """What cleaning left out, and by which rule."""
        return self.validated / "quarantine.parquet"

    @property
    def recordings(self) -> Path:
        """Quality of every file."""
        return self.validated / "recordings.parquet"

    @property
    def data_docs(self) -> Path:
        """Great Expectations' pages."""
        return self.validated / "data_docs"

    @property
    def folds(self) -> Path:
        """The fold of every window."""
        return self.artifacts / "split" / "folds.parquet"

    def view(self, name: str) -> Path:
        """Folder of a view's features."""
        return self.artifacts / "features" / name

    @property
    def keys(self) -> Path:
        """Hashes of the code behind every stage, which DVC reads as parameters."""
        return self.artifacts / "keys.yaml"

    @property
    def members(self) -> Path:
        """Folder of the members' folds."""
        return self.artifacts / "members"

    def fold(self, member: str, fold: int | str) -> Path:
        """Folder of one fold."""
        return self.members / member / f"fold-{fold}"

    @property
    def finished(self) -> Path:
        """Finished folds by the hash of their inputs, outside every stage's outputs."""
        return self.artifacts / ".folds"

    @property
    def ensemble(self) -> Path:
        """What is packaged and judged: blend, out-of-fold predictions, metrics."""
        return self.artifacts / "ensemble"

    @property
    def model(self) -> str:
        """Name of the registered model."""
        return MODELS[0]

    @property
    def ledger(self) -> Path:
        """The registered model's decisions."""
        return self.mlruns / "ledger.jsonl"

    def answering(self, n_folds: int) -> tuple[int | str, ...]:
        """The folds whose networks answer in a packaged version."""
        return tuple(range(n_folds))

    @property
    def student(self) -> StudentPaths:
        """The same files with the student in the ensemble's place."""
        return StudentPaths(self.data, self.artifacts, self.params)

    @property
    def registration(self) -> Path:
        """What `register` did, and why."""
        return self.artifacts / "registration.json"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints lie outside every stage's outputs, which DVC empties before a run."""
        return self.artifacts / ".checkpoints"

    @property
    def compiled(self) -> Path:
        """What PyTorch's compiler made for the GPU, for all processes and nights."""
        return self.artifacts / ".compiled"

    @property
    def mlruns(self) -> Path:
        """MLflow's folder: beside the artifacts, so that another --artifacts has its own."""
        return self.artifacts.absolute().parent / "mlruns"


FINAL = "final"  # instead of a fold's number: the student that answers, trained on all patients


class StudentPaths(Paths):
    """The same files with the student in the ensemble's place.

    What packages, registers and judges an ensemble does so with the student, too: an ensemble of
    one member, whose only network is the one that was trained on all patients.
    """

    @property
    def ensemble(self) -> Path:
        """Folder of what `student` writes."""
        return self.artifacts / "student"

    def fold(self, member: str, fold: int | str) -> Path:
        """Folder of one fold."""
        return self.ensemble / (fold if fold == FINAL else f"fold-{fold}")

    @property
    def model(self) -> str:
        """Name of the registered model."""
        return MODELS[1]

    @property
    def ledger(self) -> Path:
        """The student's own ledger."""
        return self.mlruns / "ledger-student.jsonl"

    def answering(self, n_folds: int) -> tuple[int | str, ...]:
        """Which of its networks answer."""
        return (FINAL,)
