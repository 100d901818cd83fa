"""Stage `train@M`: one member on its folds; what is finished is linked, what is not is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Params, Paths
from ..system.files import atomic
from ..system.locks import locked
from ..system.progress import Progress
from .callback import TrainingCallback
from .finished import check_training, find_finished, fold_key, link_fold, member_inputs

if TYPE_CHECKING:
    from .train import Trainer

LONGEST_TRAINING_S = 7 * 24 * 3600.0


def run(
    paths: Paths,
    params: Params,
    member: str,
    folds: Sequence[int] | None = None,
    *,
    device: str = "auto",
    again: bool = False,
    callback: Callable[[], TrainingCallback] = TrainingCallback,
    progress: Progress = lambda done, total: None,
) -> dict[int, dict]:
    """Train a member's folds that are not finished, and link all asked for into ``members``.

    Parameters
    ----------
    paths : Paths
    params : Params
    member : str
    folds : sequence of int, optional
        All folds of the recipe where none are given.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda[:N]"``.
    again : bool
        Train finished folds anew.
    callback : callable
        Makes the callback of one fold's training.
    progress : callable
        Takes steps done and in all, of the fold that is trained.

    Returns
    -------
    dict of int to dict
        Fold → its manifest.

    Raises
    ------
    InputError
        Bad member or fold, missing or stale inputs, too little memory, divergence.
    """
    chosen = sorted(set(folds or range(params.split.n_folds)))
    check_training(params, member, chosen)
    inputs = member_inputs(paths, params, member)

    @cache
    def trainer() -> Trainer:
        from .fold_data import MemberData
        from .train import Trainer  # imports PyTorch, which is not needed to link finished folds

        read = partial(MemberData.read, paths, params, member, inputs)
        return Trainer(paths, params, member, read, device)

    def train(fold: int | str, key: str, folder: Path) -> dict:
        return trainer().train(fold, key, folder, callback(), progress)

    return {
        fold: finish_fold(paths, member, fold, inputs, paths.fold(member, fold), train, again=again)
        for fold in chosen
    }


def finish_fold(
    paths: Paths,
    member: str,
    fold: int | str,
    inputs: dict,
    target: Path,
    train: Callable[[int | str, str, Path], dict],
    *,
    again: bool = False,
) -> dict:
    """Train a fold unless it is finished, and link it to where it belongs.

    Parameters
    ----------
    paths : Paths
    member : str
    fold : int or str
    inputs : dict
        Hashes of everything that its training depends on.
    target : Path
        The folder that DVC records.
    train : callable
        ``train(fold, key, folder)`` leaves the outputs in a folder and gives their manifest.
    again : bool
        Train it anew.

    Returns
    -------
    dict
        Its manifest.
    """
    key = fold_key(inputs, member, fold)
    folder = paths.finished / key
    # Whoever comes second waits, and finds the fold finished.
    with locked(paths.finished / f"{key}.lock", LONGEST_TRAINING_S):
        manifest = None if again else find_finished(folder, inputs)
        if manifest is None:
            with atomic(folder) as temporary:
                manifest = train(fold, key, temporary)
        link_fold(folder, target)
    return manifest
