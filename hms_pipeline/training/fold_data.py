"""What one training reads: windows, folds and views, joined on label_id and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..config import Params, Paths
from ..config.training import SmoothingParams, StageParams, TrainingParams
from ..config.votes import has_windows
from ..datasets.augmentations import ViewInfo
from ..datasets.batches import Store
from ..datasets.stage import read_folds, read_windows
from ..datasets.targets import votes_to_target
from ..features.store import FeatureStore
from ..features.view import BuiltView
from ..features.views import build_views
from ..schema import VOTE_COLUMNS
from ..system.errors import InputError


@dataclass(frozen=True)
class FoldData:
    """All kept windows of a member's views, and who trains and who is held out.

    Parameters
    ----------
    label_ids : array, shape (n_windows,)
        Ascending.
    n_votes : array, shape (n_windows,)
    target : array, shape (n_windows, 6)
        Vote shares.
    smooth_target : array, shape (n_windows, 6)
        What the network learns: smoothed where the recipe says.
    train, held_out : array, int
        Positions of windows.
    views : tuple of ViewInfo
    stores : tuple of Store
    inputs : dict
        Hashes of everything the training depends on.
    """

    label_ids: np.ndarray
    n_votes: np.ndarray
    target: np.ndarray
    smooth_target: np.ndarray
    train: np.ndarray
    held_out: np.ndarray
    views: tuple[ViewInfo, ...]
    stores: tuple[Store, ...]
    inputs: dict

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of one window in each view."""
        return tuple(view.shape for view in self.views)

    def stages(self, params: TrainingParams) -> tuple[StageParams, ...]:
        """The recipe's stages without those that no window at all has the votes for.

        Raises
        ------
        InputError
            None is left.
        """
        votes = self.n_votes.tolist()
        found = tuple(stage for stage in params.stages if has_windows(stage, votes))
        if not found:
            raise InputError(
                f"Training needs windows with as many votes as training.stages say, but these have"
                f" {min(votes)} to {max(votes)}. Change the stages' bounds or add data."
            )
        return found

    def stage_rows(self, stage: StageParams) -> np.ndarray:
        """Positions of the training windows of a stage.

        Raises
        ------
        InputError
            Fewer than two.
        """
        votes = self.n_votes[self.train]
        high = np.inf if stage.max_votes is None else stage.max_votes
        rows = self.train[(votes >= stage.min_votes) & (votes <= high)]
        if len(rows) < 2:
            until = "or more" if stage.max_votes is None else f"to {stage.max_votes}"
            raise InputError(
                f"training.stages {stage.name!r} needs windows with {stage.min_votes} {until}"
                f" votes outside the held-out fold, got {len(rows)}."
                " Change its bounds, remove the stage or add data."
            )
        return rows


@dataclass(frozen=True)
class MemberData:
    """All kept windows with what every fold of a member reads of them.

    Parameters
    ----------
    windows : DataFrame
        Kept windows, ascending by ``label_id``.
    fold_of : array, shape (n_windows,)
        The fold that holds each window out.
    views : tuple of ViewInfo
    stores : tuple of Store
    smoothing : SmoothingParams
    inputs : dict
        From ``finished.member_inputs``.
    """

    windows: pd.DataFrame
    fold_of: np.ndarray
    views: tuple[ViewInfo, ...]
    stores: tuple[Store, ...]
    smoothing: SmoothingParams
    inputs: dict

    @classmethod
    def read(cls, paths: Paths, params: Params, member: str, inputs: dict) -> MemberData:
        """Read and check what a member's trainings need.

        Parameters
        ----------
        paths : Paths
        params : Params
        member : str
        inputs : dict

        Raises
        ------
        InputError
            Something is missing or made from other inputs; the sentence names the command.
        """
        windows = read_windows(paths).sort_values("label_id", ignore_index=True)
        if not windows["label_id"].is_unique:
            raise InputError("Kept windows must have unique label_ids. Run `hms validate` again.")
        names = params.members[member].views
        built = build_views(params, names)
        labels = windows["label_id"].to_numpy()
        return cls(
            windows=windows,
            fold_of=_fold_of(windows, read_folds(paths)),
            views=tuple(ViewInfo.of(built[name]) for name in names),
            stores=tuple(_open_store(paths, built[name], labels) for name in names),
            smoothing=params.training.smoothing,
            inputs=inputs,
        )

    @property
    def label_ids(self) -> np.ndarray:
        """The windows' keys, shape (n,)."""
        return self.windows["label_id"].to_numpy()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of one window in each view."""
        return tuple(view.shape for view in self.views)

    def fold(self, fold: int | str) -> FoldData:
        """What one training reads.

        Raises
        ------
        InputError
            The fold has no windows, or a patient of it stands outside it, too.
        """
        votes = self.windows[list(VOTE_COLUMNS)].to_numpy()
        train, held_out = np.flatnonzero(self.fold_of != fold), np.flatnonzero(self.fold_of == fold)
        _check_held_out(self.windows, train, held_out, fold)
        return FoldData(
            label_ids=self.label_ids,
            n_votes=votes.sum(1),
            target=votes_to_target(votes),
            smooth_target=votes_to_target(
                votes, smoothing=self.smoothing.amount, smoothing_max_votes=self.smoothing.max_votes
            ),
            train=train,
            held_out=held_out,
            views=self.views,
            stores=self.stores,
            inputs=self.inputs,
        )


def _fold_of(windows: pd.DataFrame, folds: pd.DataFrame) -> np.ndarray:
    fold_of = folds.set_index("label_id")["fold"].reindex(windows["label_id"])
    if fold_of.isna().any() or len(folds) != len(windows):
        raise InputError(
            f"Folds must cover the {len(windows)} kept windows, but cover"
            f" {int(fold_of.notna().sum())} of them. Run `hms split` again."
        )
    return fold_of.to_numpy(np.int64)


def _check_held_out(
    windows: pd.DataFrame, train: np.ndarray, held_out: np.ndarray, fold: int | str
) -> None:
    """Refuse a held-out patient among the training windows."""
    if not len(held_out):
        raise InputError(f"Fold {fold} has no windows. Run `hms split` again, or add data.")
    patients = windows["patient_id"]
    shared = set(patients.iloc[train]) & set(patients.iloc[held_out])
    if shared:
        raise InputError(
            f"Patient {min(shared)} is both in fold {fold} and outside it."
            " Delete split/folds.parquet and run `hms split` again."
        )


def _open_store(paths: Paths, view: BuiltView, label_ids: np.ndarray) -> FeatureStore:
    """A view's store, made with the recipe's parameters and holding every window."""
    name, folder = view.name, paths.view(view.name)
    store = FeatureStore.open(folder, view=view)
    missing = np.setdiff1d(label_ids, store.label_ids)
    if len(missing):
        raise InputError(
            f"View {name!r} lacks {len(missing)} of {len(label_ids)} kept windows, the first"
            f" with label_id {missing[0]}. Run `hms features {name}` again."
        )
    return store
