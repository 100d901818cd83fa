"""The windows that a student learns from, and their features."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..config import Params, Paths
from ..config.student import STUDENT
from ..datasets.augmentations import ViewInfo
from ..datasets.stage import read_folds, read_windows
from ..features import stage as features_stage
from ..features.store import FeatureStore
from ..features.view import BuiltView
from ..features.views import build_views
from ..system.errors import InputError
from ..system.files import atomic, read_table
from ..system.progress import Progress
from ..training.fold_data import FoldData, MemberData

RULE = "overlap"  # a rule of validation


def student_views(params: Params) -> dict[str, BuiltView]:
    """The student's views, built.

    Raises
    ------
    InputError
        One needs more than the EEG.
    """
    names = params.for_student().members[STUDENT].views
    views = build_views(params, names)
    for name, view in views.items():
        if view.inputs != ("eeg",):
            raise InputError(
                f"student.views needs views of the EEG alone, but {name!r} reads"
                f" {' and '.join(view.inputs)}. Choose one of those without a spectrogram"
                " (hms views)."
            )
    return views


def overlapping(paths: Paths) -> pd.DataFrame:
    """Windows that nothing but the rule `overlap` set aside, of patients that have a fold.

    Returns
    -------
    DataFrame
        The columns of the kept windows, ascending by ``label_id``.
    """
    kept = read_windows(paths)
    quarantine = read_table(paths.quarantine)
    by_overlap = (quarantine["kind"] == "window") & (quarantine["rule"] == RULE)
    others = quarantine[~by_overlap]
    table = pd.read_csv(paths.data / "train.csv")
    chosen = table["label_id"].isin(quarantine.loc[by_overlap, "id"])
    for kind, column in (
        ("window", "label_id"),
        ("eeg", "eeg_id"),
        ("spectrogram", "spectrogram_id"),
    ):
        chosen &= ~table[column].isin(others.loc[others["kind"] == kind, "id"])
    chosen &= table["patient_id"].isin(kept["patient_id"])
    columns = kept.columns
    return table.loc[chosen, columns].astype(kept.dtypes).sort_values("label_id", ignore_index=True)


@dataclass(frozen=True)
class JoinedStore:
    """Features of one view in two stores."""

    kept: Any  # a FeatureStore
    more: FeatureStore

    def __getitem__(self, label_ids: np.ndarray) -> np.ndarray:
        label_ids = np.asarray(label_ids)
        in_kept = np.isin(label_ids, self.kept.label_ids)
        out = np.empty((len(label_ids), *self.kept.shape), np.float16)
        out[in_kept] = self.kept[label_ids[in_kept]]
        out[~in_kept] = self.more[label_ids[~in_kept]]
        return out


@dataclass(frozen=True)
class StudentData(MemberData):
    """All windows of a student's trainings, kept ones first, and what it learns of each.

    Parameters
    ----------
    n_kept : int
    votes_share : float
        Of the votes in the targets.
    teach : callable
        Fold, or ``"final"`` → the teacher's answers, shape (n_windows, 6).
    inputs_of : callable
        The same → hashes of what that training depends on.
    """

    n_kept: int
    votes_share: float
    teach: Callable[[int | str], np.ndarray]
    inputs_of: Callable[[int | str], dict]

    def fold(self, fold: int | str) -> FoldData:
        """What one training reads.

        Kept windows of its fold are held out, overlapping ones of those patients are left out.
        ``"final"`` trains on all and answers the kept ones.
        """
        final = isinstance(fold, str)
        data = super().fold(0 if final else fold)
        kept = np.arange(self.n_kept)
        votes, teacher = data.smooth_target, self.teach(fold)
        return replace(
            data,
            train=np.arange(len(self.label_ids)) if final else data.train,
            held_out=kept if final else np.intersect1d(data.held_out, kept),
            smooth_target=self.votes_share * votes + (1 - self.votes_share) * teacher,
            inputs=self.inputs_of(fold),
        )


def read_training_windows(
    paths: Paths, params: Params, more: pd.DataFrame, device: str, progress: Progress
) -> MemberData:
    """Kept and overlapping windows with the student's features of both.

    Features of overlapping windows are computed into a store beside the checkpoints, as stage
    `features` computes those of the kept ones; what a killed run left there is used.
    """
    own, views = params.for_student(), student_views(params)
    kept = MemberData.read(paths, own, STUDENT, {})
    if more.empty:
        return kept
    folds = read_folds(paths).drop_duplicates("patient_id").set_index("patient_id")["fold"]
    beside = Paths(paths.data, paths.checkpoints / "overlapping", paths.params)
    _write_windows(paths, beside, more)
    stores = []
    for store, (name, view) in zip(kept.stores, views.items(), strict=True):
        features_stage.run(beside, params, name, device=device, progress=progress)
        stores.append(JoinedStore(store, FeatureStore.open(beside.view(name), view=view)))
    return MemberData(
        windows=pd.concat([kept.windows, more], ignore_index=True),
        fold_of=np.concatenate([kept.fold_of, folds.loc[more["patient_id"]].to_numpy()]),
        views=tuple(ViewInfo.of(view) for view in views.values()),
        stores=tuple(stores),
        smoothing=kept.smoothing,
        inputs={},
    )


def _write_windows(paths: Paths, beside: Paths, windows: pd.DataFrame) -> None:
    with atomic(beside.windows) as temporary:
        windows.to_parquet(temporary, index=False)
    with atomic(beside.recordings) as temporary:
        shutil.copyfile(paths.recordings, temporary)
