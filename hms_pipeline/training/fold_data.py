"""What one training reads: windows, folds and views, joined on label_id and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..config import Params, Paths
from ..config.training import StageParams
from ..datasets.augmentations import ViewInfo
from ..datasets.batches import Store
from ..datasets.stage import read_folds, read_windows
from ..datasets.targets import votes_to_target
from ..features.store import FeatureStore
from ..features.view import BuiltView
from ..features.views import build_views
from ..schema import VOTE_COLUMNS
from ..system.errors import InputError
from ..system.files import hash_code, hash_file, hash_json

_CODE = ("schema", "catalogue", "config", "datasets", "models", "training")


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
        return tuple(view.shape for view in self.views)

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


def check_run(params: Params, member: str, fold: int) -> None:
    """Refuse a member or fold that the recipe does not have."""
    if member not in params.members:
        raise InputError(f"Unknown member {member!r}. Choose one of {sorted(params.members)}.")
    if not 0 <= fold < params.split.n_folds:
        raise InputError(
            f"fold must be 0..{params.split.n_folds - 1}, got {fold}."
            " Choose one of these, or raise split.n_folds."
        )


def read_fold_data(
    paths: Paths, params: Params, member: str, fold: int, *, verify: bool = True
) -> FoldData:
    """Read and check what a training needs.

    Parameters
    ----------
    paths, params, member, fold
        As in :func:`training.stage.run`.
    verify : bool
        Whether to compare the features with their checksums, which reads all of them.

    Raises
    ------
    InputError
        Something is missing or made from other inputs; the sentence names the command.
    """
    check_run(params, member, fold)
    windows = read_windows(paths).sort_values("label_id", ignore_index=True)
    fold_of = _fold_of(windows, read_folds(paths))
    votes = windows[list(VOTE_COLUMNS)].to_numpy()
    train, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
    _check_held_out(windows, train, held_out, fold)
    label_ids = windows["label_id"].to_numpy()
    names = params.members[member].views
    built = build_views(params, names)
    stores = tuple(_open_store(paths, built[name], member, label_ids, verify) for name in names)
    smoothing = params.training.smoothing
    return FoldData(
        label_ids=label_ids,
        n_votes=votes.sum(1),
        target=votes_to_target(votes),
        smooth_target=votes_to_target(
            votes, smoothing=smoothing.amount, smoothing_max_votes=smoothing.max_votes
        ),
        train=train,
        held_out=held_out,
        views=tuple(ViewInfo.of(built[name]) for name in names),
        stores=stores,
        inputs=_input_hashes(paths, params, member, names, stores),
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
    windows: pd.DataFrame, train: np.ndarray, held_out: np.ndarray, fold: int
) -> None:
    """Each window once, and no held-out patient in training."""
    if not windows["label_id"].is_unique:
        raise InputError("Kept windows must have unique label_ids. Run `hms validate` again.")
    if not len(held_out):
        raise InputError(f"Fold {fold} has no windows. Run `hms split` again, or add data.")
    patients = windows["patient_id"]
    shared = set(patients.iloc[train]) & set(patients.iloc[held_out])
    if shared:
        raise InputError(
            f"Patient {min(shared)} is both in fold {fold} and outside it."
            " Delete split/folds.parquet and run `hms split` again."
        )


def _open_store(
    paths: Paths, view: BuiltView, member: str, label_ids: np.ndarray, verify: bool
) -> FeatureStore:
    """A view's store, made with the recipe's parameters and holding every window."""
    name, folder = view.name, paths.view(view.name)
    if not (folder / "manifest.json").exists():
        raise InputError(
            f"Member {member} reads view {name!r}, but {folder} has no features."
            f" Run `hms features {name}` first."
        )
    store = FeatureStore.open(folder, view=view, verify=verify)
    missing = np.setdiff1d(label_ids, store.label_ids)
    if len(missing):
        raise InputError(
            f"View {name!r} lacks {len(missing)} of {len(label_ids)} kept windows, the first"
            f" with label_id {missing[0]}. Run `hms features {name}` again."
        )
    return store


def _input_hashes(
    paths: Paths,
    params: Params,
    member: str,
    names: Sequence[str],
    stores: Sequence[FeatureStore],
) -> dict:
    return {
        "views": {
            name: hash_json(store.manifest) for name, store in zip(names, stores, strict=True)
        },
        "windows": hash_file(paths.windows),
        "folds": hash_file(paths.folds),
        "params": hash_json(
            {
                "training": params.training.model_dump(mode="json"),
                "member": params.members[member].model_dump(mode="json"),
                "split": params.split.model_dump(mode="json"),
            }
        ),
        "code": hash_code(*_CODE),
    }
