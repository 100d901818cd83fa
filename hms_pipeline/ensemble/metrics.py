"""How good probabilities are against experts' votes. KL by slice decides; the rest explains.

Undefined quantities (AUROC of a class that never occurs) are None, never NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..schema import CLASSES
from ..training.metrics import FLOOR, Array, kl_per_window, slice_rows


def disagreement(member_probs: Array) -> Array:
    """Jensen–Shannon divergence between the members of each window.

    Parameters
    ----------
    member_probs : array, shape (n_members, n_windows, 6)
        NaN where a member was left out.

    Returns
    -------
    array, shape (n_windows,)
        Nats; 0 where the members agree or only one answered.
    """
    present = ~np.isnan(member_probs).any(axis=2, keepdims=True)
    probs = np.where(present, member_probs, 0)
    count = np.maximum(present.sum(axis=0), 1)
    mean = probs.sum(axis=0) / count
    ratio = np.where(probs > 0, probs, 1) / np.where(probs > 0, mean, 1)
    return (probs * np.log(ratio)).sum(axis=2).sum(axis=0) / count[:, 0]


def slice_masks(
    n_votes: NDArray[np.floating] | NDArray[np.integer],
) -> dict[str, NDArray[np.bool_]]:
    """Rows of every vote slice that holds any: name → mask, shape (n_windows,)."""
    return {name: rows for name, rows in slice_rows(n_votes).items() if rows.any()}


def log_loss(target: Array, probs: Array) -> float:
    """Mean cross-entropy −Σ t ln p against the vote shares, nats."""
    return float(-(target * np.log(np.clip(probs, FLOOR, 1))).sum(axis=1).mean())


def plurality(votes: Array) -> NDArray[np.bool_]:
    """Classes with the most votes of each window; tied ones are all True. Shape as ``votes``."""
    return votes == votes.max(axis=1, keepdims=True)


def auroc(positive: NDArray[np.bool_], score: Array) -> float | None:
    """Area under the ROC curve (Mann–Whitney, ties count half); None with one class only.

    Examples
    --------
    >>> import numpy as np
    >>> auroc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    from scipy.stats import rankdata  # slow to import; not for what only reads metrics

    n_pos = int(positive.sum())
    n_neg = positive.size - n_pos
    if n_pos == 0 or n_neg == 0:
        return None
    rank_sum = rankdata(score)[positive].sum()
    return float((rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def auprc(positive: NDArray[np.bool_], score: Array) -> float | None:
    """Average precision Σ (R_k − R_{k−1}) P_k over distinct scores; None without positives.

    Examples
    --------
    >>> import numpy as np
    >>> auprc(np.array([False, True, True]), np.array([0.2, 0.1, 0.9]))  # 1/2·1 + 1/2·2/3
    0.8333333333333333
    """
    if not positive.any():
        return None
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    precision = hits[last_of_tie] / (last_of_tie + 1)
    recall = hits[last_of_tie] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def reliability(target: Array, probs: Array, bins: int) -> list[dict[str, Array]]:
    """Mean predicted probability and mean vote share by bin of probability, one per class.

    Parameters
    ----------
    target, probs : array, shape (n_windows, 6)
    bins : int
        Equally wide bins of [0, 1]; empty ones are left out.

    Returns
    -------
    list of dict
        Per class ``prob``, ``share`` and ``n`` (windows), each of shape (n_filled_bins,).
    """
    curves = []
    for share, prob in zip(target.T, probs.T, strict=True):
        index = np.minimum((prob * bins).astype(int), bins - 1)
        n = np.bincount(index, minlength=bins)
        filled = n > 0
        sums = [np.bincount(index, weights=x, minlength=bins)[filled] for x in (prob, share)]
        curves.append(
            {
                "prob": sums[0] / n[filled],
                "share": sums[1] / n[filled],
                "n": n[filled].astype(float),
            }
        )
    return curves


def calibration_error(target: Array, probs: Array, bins: int) -> Array:
    """Expected calibration error, shape (6,): Σ_bins n/N · |mean prob − mean share|."""
    return np.array(
        [
            float((curve["n"] * np.abs(curve["prob"] - curve["share"])).sum() / len(probs))
            for curve in reliability(target, probs, bins)
        ]
    )


def confusion(votes: Array, probs: Array) -> Array:
    """Windows by experts' plurality (rows) and by the most probable class (columns), (6, 6).

    A window whose plurality is tied between k classes counts 1/k in each of their rows.
    """
    tied = plurality(votes).astype(float)
    tied /= tied.sum(axis=1, keepdims=True)
    chosen = np.eye(votes.shape[1])[probs.argmax(axis=1)]
    return tied.T @ chosen


def agreement(votes: Array, probs: Array) -> dict[str, float] | None:
    """The model as one more rater, each rater judged by the votes of the others.

    An expert who chose class c agrees with the share (v_c − 1) / (n − 1) of the other experts;
    the model, choosing its most probable class k, with the share v_k / n of the experts (which
    is also its mean over leaving each of them out).

    Returns
    -------
    dict or None
        ``experts``, ``model``: mean shares over windows with two votes or more; None without.
    """
    n = votes.sum(axis=1)
    rows = n >= 2
    if not rows.any():
        return None
    v, n = votes[rows], n[rows]
    experts = (v * (v - 1)).sum(axis=1) / (n * (n - 1))
    model = np.take_along_axis(v, probs[rows].argmax(axis=1)[:, None], axis=1)[:, 0] / n
    return {"experts": float(experts.mean()), "model": float(model.mean())}


def evaluate(votes: Array, probs: Array, bins: int) -> dict[str, object]:
    """Every metric of one set of windows.

    Parameters
    ----------
    votes, probs : array, shape (n_windows, 6)
    bins : int
        Bins of the calibration error.

    Returns
    -------
    dict
        ``n_windows, kl, log_loss, accuracy, calibration_error, agreement`` and, by class,
        ``auroc, auprc, class_calibration_error``.
    """
    target = votes / votes.sum(axis=1, keepdims=True)
    positive = plurality(votes)
    calibration = calibration_error(target, probs, bins)
    return {
        "n_windows": len(votes),
        "kl": float(kl_per_window(target, probs).mean()),
        "log_loss": log_loss(target, probs),
        "accuracy": float(np.trace(confusion(votes, probs)) / len(votes)),
        "agreement": agreement(votes, probs),
        "calibration_error": float(calibration.mean()),
        "class_calibration_error": dict(zip(CLASSES, calibration.tolist(), strict=True)),
        "auroc": {c: auroc(positive[:, i], probs[:, i]) for i, c in enumerate(CLASSES)},
        "auprc": {c: auprc(positive[:, i], probs[:, i]) for i, c in enumerate(CLASSES)},
    }
