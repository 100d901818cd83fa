"""The folds behind a stage `train@<member>`: which are not finished, and what trains them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pyarrow.parquet import read_metadata

from hms_pipeline.config import load_params
from hms_pipeline.training.finished import missing_folds

from .environment import paths_of
from .handout import FOLD_S

PREFIX = "train@"
HMS = "python -m hms_pipeline "  # how a stage of this project begins
COMMAND = f"{HMS}train "
ASSUMED_RATE = 100.0  # windows/s of a member that was never trained here


class Trainings:
    """Folds of the members of one repository; another repository's stages have none.

    Parameters
    ----------
    root : Path
    commands : mapping of str to str
        Stage → its command.
    forced : collection of str
        Stages whose finished folds are trained again.
    """

    def __init__(self, root: Path, commands: dict[str, str], forced: frozenset[str]) -> None:
        self.paths = paths_of(root)
        self.commands, self.forced = commands, forced

    def trains(self, stage: str) -> bool:
        """Whether a stage consists of folds."""
        return self.commands[stage].startswith(COMMAND)

    def missing(self, stage: str) -> list[int]:
        """Folds of a stage that have to be trained; what they read is up to date."""
        if not self.trains(stage):
            return []
        params = load_params(self.paths.params)
        if stage in self.forced:
            return list(range(params.split.n_folds))
        return missing_folds(self.paths, params, self._member(stage))

    def assumed_s(self) -> float:
        """What a fold may take, by its windows and epochs, where none was trained here."""
        epochs = sum(stage.epochs for stage in load_params(self.paths.params).training.stages)
        try:
            return epochs * read_metadata(self.paths.windows).num_rows / ASSUMED_RATE
        except (OSError, ValueError):  # the stage itself says what is wrong
            return FOLD_S

    def command(self, stage: str, folds: Sequence[int]) -> list[str]:
        """What trains folds, run in the repository's root."""
        again = ["--again"] * (stage in self.forced)
        folds = [str(fold) for fold in folds]
        return [sys.executable, "-m", "hms_pipeline", "train", self._member(stage), *folds, *again]

    @staticmethod
    def _member(stage: str) -> str:
        return stage.removeprefix(PREFIX)
