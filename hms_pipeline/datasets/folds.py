"""Patient-grouped, stratified folds that known patients never leave."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..schema import DECIDING_SLICE, VOTE_COLUMNS, VOTE_SLICES
from ..system.errors import InputError


def assign_folds(
    windows: pd.DataFrame, n_folds: int, seed: int, previous: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Give every patient one fold, balancing consensus and vote class over folds.

    Patients are taken from the one whose windows are most unevenly spread over the strata to
    the least; each joins the fold that leaves the strata most even. Patients of ``previous``
    keep their folds and count as already placed.

    Parameters
    ----------
    windows : DataFrame
        Columns label_id, patient_id, expert_consensus and the six votes.
    n_folds : int
        Number of folds.
    seed : int
        Order of patients that are otherwise equal.
    previous : DataFrame, optional
        Columns patient_id, fold.

    Returns
    -------
    folds : DataFrame
        Columns label_id, patient_id, fold, sorted by label_id.

    Raises
    ------
    InputError
        Fewer patients than folds, or an earlier fold that is not in range.

    References
    ----------
    The greedy rule is that of scikit-learn's StratifiedGroupKFold.
    """
    counts = _stratum_counts(windows)
    if len(counts) < n_folds:
        raise InputError(
            f"split needs at least {n_folds} patients for split.n_folds={n_folds}, got"
            f" {len(counts)}. Lower split.n_folds or add data."
        )
    known = _known_folds(previous, n_folds)
    fold_of = {patient: known[patient] for patient in counts.index if patient in known}
    share = counts.to_numpy(np.float64) / counts.to_numpy().sum(0)
    load = np.zeros((n_folds, share.shape[1]))
    for row, patient in enumerate(counts.index):
        if patient in fold_of:
            load[fold_of[patient]] += share[row]
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts.to_numpy()[order].std(1), kind="stable")]
    for row in order:
        patient = counts.index[row]
        if patient not in fold_of:
            fold_of[patient] = _neediest_fold(load, share[row])
            load[fold_of[patient]] += share[row]
    folds = windows[["label_id", "patient_id"]].sort_values("label_id", ignore_index=True)
    return folds.assign(fold=folds["patient_id"].map(fold_of).astype("int64"))


def _stratum_counts(windows: pd.DataFrame) -> pd.DataFrame:
    """Windows per patient and stratum (consensus × few or many votes)."""
    threshold = VOTE_SLICES[DECIDING_SLICE][0]
    many = windows[list(VOTE_COLUMNS)].sum(axis=1) >= threshold
    return pd.crosstab(windows["patient_id"], [windows["expert_consensus"], many]).sort_index()


def _known_folds(previous: pd.DataFrame | None, n_folds: int) -> dict[int, int]:
    if previous is None:
        return {}
    outside = previous.loc[~previous["fold"].between(0, n_folds - 1), "fold"]
    if len(outside):
        raise InputError(
            f"Earlier folds must be 0..{n_folds - 1}, got {int(outside.iloc[0])}."
            " Delete split/folds.parquet to start anew."
        )
    return dict(zip(previous["patient_id"].tolist(), previous["fold"].tolist(), strict=True))


def _neediest_fold(load: np.ndarray, share: np.ndarray) -> int:
    """The fold that leaves the strata most even; of equal ones the emptiest, then the first."""
    n_folds = len(load)
    after = load[None] + np.eye(n_folds)[:, :, None] * share  # (choice, fold, stratum)
    unevenness = after.std(1).mean(1).round(12)
    return int(np.lexsort((np.arange(n_folds), load.sum(1), unevenness))[0])
