"""Every member's out-of-fold predictions as one array, joined on label_id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..config import Params, Paths
from ..schema import CLASSES, DECIDING_SLICE, VOTE_COLUMNS, VOTE_SLICES
from ..system.errors import InputError
from ..system.files import hash_file, read_table
from ..training.finished import read_checked, read_manifest


@dataclass(frozen=True)
class OutOfFold:
    """What the ensemble is fitted on; rows in the order of ``label_ids`` (ascending).

    Parameters
    ----------
    members : tuple of str
        In the recipe's order.
    probs : array, shape (n_members, n_windows, 6)
    label_ids, patients, folds : array of int, shape (n_windows,)
    votes : array, shape (n_windows, 6)
    """

    members: tuple[str, ...]
    probs: NDArray[np.float64]
    label_ids: NDArray[np.int64]
    patients: NDArray[np.int64]
    folds: NDArray[np.int64]
    votes: NDArray[np.float64]

    @property
    def n_votes(self) -> NDArray[np.float64]:
        """Votes of each window, shape (n,)."""
        return self.votes.sum(axis=1)

    @property
    def target(self) -> NDArray[np.float64]:
        """Vote shares, shape (n, 6)."""
        return self.votes / self.n_votes[:, None]

    def frame(self) -> pd.DataFrame:
        """One row per window and member.

        ``label_id, member, fold, patient_id, votes``, six probabilities.
        """
        about = {"fold": self.folds, "patient_id": self.patients, "votes": self.n_votes.astype(int)}
        parts = [
            pd.DataFrame({"label_id": self.label_ids, "member": member, **about}).join(
                pd.DataFrame(probs, columns=list(CLASSES))
            )
            for member, probs in zip(self.members, self.probs, strict=True)
        ]
        return pd.concat(parts, ignore_index=True)

    @property
    def deciding(self) -> NDArray[np.bool_]:
        """Windows with enough votes to decide by."""
        return self.n_votes >= VOTE_SLICES[DECIDING_SLICE][0]

    def only(self, rows: NDArray[np.bool_]) -> OutOfFold:
        """Some of the windows."""
        return OutOfFold(
            self.members, self.probs[:, rows], self.label_ids[rows], self.patients[rows],
            self.folds[rows], self.votes[rows],
        )  # fmt: skip


def read_oof(paths: Paths, params: Params) -> OutOfFold:
    """Read the folds of the recipe's members.

    Raises
    ------
    InputError
        A file is missing, a window is predicted twice or in another fold than its own, or the
        members do not cover the same windows.
    """
    for path, command in ((paths.windows, "hms validate"), (paths.folds, "hms split")):
        if not path.exists():
            raise InputError(f"{path} is missing. Run `{command}` first.")
    folds = read_table(paths.folds).set_index("label_id").sort_index()
    windows = read_table(paths.windows).set_index("label_id")
    if not folds.index.isin(windows.index).all():
        raise InputError(f"{paths.folds} has windows that {paths.windows} lacks. Run `hms split`.")
    tables = {name: _read_member(paths, name, params.split.n_folds) for name in params.members}
    for name, table in tables.items():
        _check_cover(name, table, folds)
    return OutOfFold(
        members=tuple(tables),
        probs=np.stack(
            [t.loc[folds.index, list(CLASSES)].to_numpy(dtype=float) for t in tables.values()]
        ),
        label_ids=folds.index.to_numpy(),
        patients=folds["patient_id"].to_numpy(),
        folds=folds["fold"].to_numpy(),
        votes=windows.loc[folds.index, list(VOTE_COLUMNS)].to_numpy(dtype=float),
    )


def _read_member(paths: Paths, member: str, n_folds: int) -> pd.DataFrame:
    """A member's predictions, compared with the hashes that their trainings recorded."""
    tables = []
    made_from = {"windows": hash_file(paths.windows), "folds": hash_file(paths.folds)}
    for fold in range(n_folds):
        folder = paths.fold(member, fold)
        manifest = read_manifest(folder)
        content = read_checked(folder, manifest, "oof.parquet")
        for name, now in made_from.items():
            if manifest["inputs"][name] != now:
                raise InputError(
                    f"{folder} was trained from other {name} than the present ones."
                    f" Run hms train {member}, or dvc repro."
                )
        tables.append(read_table(folder / "oof.parquet", content=content).assign(fold=fold))
    return pd.concat(tables, ignore_index=True).set_index("label_id")


def _check_cover(member: str, table: pd.DataFrame, folds: pd.DataFrame) -> None:
    advice = f"Train {member} again on these folds."
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise InputError(f"Member {member} predicts window {twice} more than once. {advice}")
    missing = folds.index.difference(table.index)
    unknown = table.index.difference(folds.index)
    if len(missing) or len(unknown):
        raise InputError(
            f"Member {member} must predict the {len(folds)} windows of the split, but lacks"
            f" {len(missing)} and has {len(unknown)} others. {advice}"
        )
    moved = folds.index[table.loc[folds.index, "fold"] != folds["fold"]]
    if len(moved):
        raise InputError(
            f"Member {member} predicts window {moved[0]} in another fold than the split's. {advice}"
        )
    if not np.isfinite(table[list(CLASSES)].to_numpy()).all():
        raise InputError(f"Member {member} has predictions that are not finite. {advice}")
