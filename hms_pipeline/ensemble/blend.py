"""The ensemble's last step: members' probabilities → one answer, chosen on honest evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from ..schema import CLASSES
from ..system.errors import InputError
from ..training.metrics import kl_per_window
from .bootstrap import interval, patient_bootstrap
from .pool import FLOOR, fit_pool

Array = NDArray[np.float64]

# Simplest first: of kinds with equal estimates the first is used.
KINDS = {
    "equal": "equal mean",
    "single": "best single member",
    "equal_calibrated": "equal mean, calibrated",
    "shrunk": "shrunk weights, calibrated",
}
MAX_GROUPS = 10  # most groups for the nested estimate; more groups are merged
DIGITS = 6  # decimals of weights, temperature and offsets, in the file and in use


@dataclass(frozen=True)
class Blend:
    """softmax(ln(Σ w_m p_m) / temperature + offsets).

    Parameters
    ----------
    members : tuple of str
        Names, in the order of the first axis of what ``predict`` takes.
    weights : array, shape (n_members,)
        On the simplex.
    temperature : float
        1 leaves the pool as it is.
    offsets : array, shape (6,)
        Added to the log-probabilities of the classes, sum to 0.
    kind : str
        A key of ``KINDS``.
    """

    members: tuple[str, ...]
    weights: Array
    temperature: float = 1.0
    offsets: Array = field(default_factory=lambda: np.zeros(len(CLASSES)))
    kind: str = "equal"

    @classmethod
    def equal(cls, members: Sequence[str]) -> Blend:
        """The plain equal mean."""
        return cls(tuple(members), np.full(len(members), 1 / len(members)))

    def predict(self, oof: Array) -> Array:
        """Blend probabilities.

        Parameters
        ----------
        oof : array, shape (n_members, n_windows, 6)
            NaN rows where a member is absent; the weights of the others are renormalised.

        Returns
        -------
        array, shape (n_windows, 6)
            Rows sum to 1.
        """
        return apply_blend(oof, self)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``kind, weights {member: weight}, temperature, offsets``."""
        return {
            "kind": self.kind,
            "weights": dict(zip(self.members, self.weights.tolist(), strict=True)),
            "temperature": self.temperature,
            "offsets": self.offsets.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], members: Sequence[str] | None = None) -> Blend:
        """Read ``to_dict``, or the stage's ``weights.json``.

        The order of the members is ``members``, or else the file's ``members``, or else that of
        ``weights``.
        """
        members = tuple(members or data.get("members") or data["weights"])
        if set(members) != set(data["weights"]):
            raise InputError(
                f"The blend needs members {sorted(data['weights'])}, but got {sorted(members)}."
                " Use the members it was fitted on."
            )
        weights = np.array([data["weights"][name] for name in members], dtype=float)
        offsets = np.array(data["offsets"], dtype=float)
        return cls(members, weights, float(data["temperature"]), offsets, data["kind"])


@dataclass(frozen=True)
class FittedBlend(Blend):
    """The chosen blend with the evidence for it.

    Parameters
    ----------
    table : DataFrame
        One row per kind: ``kind, kl, low, high`` (nested estimate and its patient-bootstrap
        interval), ``gain, gain_low, gain_high`` (over the equal mean, paired), ``excess,
        excess_low, excess_high`` (over the chosen kind, paired), ``chosen``.
    candidates : dict of str to Blend
        Each kind fitted on all windows.
    nested : dict of str to dict
        Kind → group → the blend fitted without that group.
    reason : str
        Why this kind, and how sure that is.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    candidates: dict[str, Blend] = field(default_factory=dict)
    nested: dict[str, dict[Any, Blend]] = field(default_factory=dict)
    reason: str = ""

    def nested_predict(self, oof: Array, groups: NDArray[Any], kind: str | None = None) -> Array:
        """Predict every window by the blend that was fitted without its group.

        Groups that had no window in the fit get the blend fitted on all.
        """
        kind = self.kind if kind is None else kind
        probs = np.empty(oof.shape[1:])
        for group in np.unique(groups):
            rows: NDArray[np.bool_] = groups == group
            blend = self.nested[kind].get(group.item(), self.candidates[kind])
            probs[rows] = blend.predict(oof[:, rows])
        return probs


def apply_blend(member_probs: Array, blend: Blend) -> Array:
    """Apply a blend where members may be absent.

    Parameters
    ----------
    member_probs : array, shape (n_members, n_windows, 6)
        NaN where a member gave no answer for a window.
    blend : Blend

    Returns
    -------
    array, shape (n_windows, 6)
        Weights are renormalised over the members present; where those all have weight 0, their
        equal mean is used.

    Raises
    ------
    InputError
        A window without any member.
    """
    member_probs = np.asarray(member_probs, dtype=float)
    if len(member_probs) != len(blend.weights):
        raise InputError(
            f"The blend has {len(blend.weights)} members, but got probabilities of"
            f" {len(member_probs)}. Pass one block per member, NaN where it is absent."
        )
    present: Any = np.isfinite(member_probs).all(axis=2)  # (n_members, n_windows)
    if not present.any(axis=0).all():
        row = int(np.flatnonzero(~present.any(axis=0))[0])
        raise InputError(f"Window {row} has no member's probabilities. Give at least one.")
    weights = blend.weights[:, None] * present
    lost = weights.sum(axis=0) <= 0
    weights = np.where(lost, present, weights)
    floored = np.where(present[:, :, None], np.maximum(member_probs, FLOOR), 0.0)
    total = np.zeros(member_probs.shape[1:])
    for weight, probs in zip(weights, floored, strict=True):
        total += weight[:, None] * probs
    total /= weights.sum(axis=0)[:, None]
    return softmax(np.log(total) / blend.temperature + blend.offsets, axis=1)


def fit_blend(
    oof: Array,
    target: Array,
    groups: NDArray[Any],
    *,
    patients: NDArray[Any] | None = None,
    members: Sequence[str] | None = None,
    shrinkage: float = 0.003,
    ridge: float = 0.03,
    n_bootstrap: int = 2000,
    confidence: float = 0.9,
    seed: int = 0,
) -> FittedBlend:
    """Fit every kind of blend, estimate each nested by group, and use the lowest estimate.

    Everything of a kind (its weights, its calibration, which member is best) is found without the
    windows of the group that then judges it. ``shrinkage`` and ``ridge`` are fixed: choosing them
    inside the nesting, too, was tried and gained nothing.

    Parameters
    ----------
    oof : array, shape (n_members, n_windows, 6)
        Out-of-fold probabilities; rows sum to 1.
    target : array, shape (n_windows, 6)
        Vote shares; rows sum to 1.
    groups : array, shape (n_windows,)
        Folds to nest by, two at least.
    patients : array, shape (n_windows,), optional
        Patients to resample; each window its own where None.
    members : sequence of str, optional
        Names; ``"0", "1", …`` where None.
    shrinkage, ridge : float, nats
        Pull of the weights toward the equal mean, and of the calibration toward none.
    n_bootstrap, confidence, seed
        Resamplings of patients, coverage of the intervals, seed.

    Returns
    -------
    FittedBlend

    Raises
    ------
    InputError
        Shapes that do not fit, rows that do not sum to 1, one group only.
    """
    oof, target, groups = np.asarray(oof, float), np.asarray(target, float), np.asarray(groups)
    _check(oof, target, groups)
    members = tuple(map(str, range(len(oof)))) if members is None else tuple(members)
    patients = np.arange(len(target)) if patients is None else np.asarray(patients)
    oof = np.maximum(oof, FLOOR)
    outer = np.unique(groups, return_inverse=True)[1] % MAX_GROUPS
    nested: dict[str, dict[Any, Blend]] = {kind: {} for kind in KINDS}
    losses = np.empty((len(target), len(KINDS)))
    for part in np.unique(outer):
        rows = outer == part
        without = _fit_kinds(oof[:, ~rows], target[~rows], members, shrinkage, ridge)
        for i, (kind, blend) in enumerate(without.items()):
            nested[kind] |= dict.fromkeys(np.unique(groups[rows]).tolist(), blend)
            losses[rows, i] = kl_per_window(target[rows], blend.predict(oof[:, rows]))
    means = losses.mean(axis=0)
    samples = patient_bootstrap(losses, patients, n_bootstrap, seed)
    table = _table(means, samples, int(means.argmin()), confidence)
    candidates = _fit_kinds(oof, target, members, shrinkage, ridge)
    return FittedBlend(
        **vars(candidates[list(KINDS)[means.argmin()]]),
        table=table,
        candidates=candidates,
        nested=nested,
        reason=_reason(table, confidence),
    )


def _check(oof: Array, target: Array, groups: NDArray[Any]) -> None:
    n_classes = len(CLASSES)
    if oof.ndim != 3 or oof.shape[1:] != target.shape or target.shape[1:] != (n_classes,):
        raise InputError(
            f"oof needs shape (n_members, n_windows, {n_classes}) and target (n_windows,"
            f" {n_classes}), but have {oof.shape} and {target.shape}. Align them by label_id."
        )
    if groups.shape != target.shape[:1]:
        raise InputError(
            f"groups needs shape ({len(target)},), but has {groups.shape}. Give each window one."
        )
    if len(np.unique(groups)) < 2:
        raise InputError(
            f"groups needs two folds or more to nest by, but has {len(np.unique(groups))}."
            " Give the fold of each window."
        )
    for name, probs in (("oof", oof), ("target", target)):
        sums = probs.sum(axis=-1)
        if not (np.isfinite(probs).all() and (probs >= 0).all()):
            raise InputError(f"{name} must be finite and not negative. Pass probabilities.")
        if not np.allclose(sums, 1, atol=1e-3):
            where = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
            raise InputError(
                f"{name} must sum to 1 per row; row {int(where[-1])} sums to {sums[where]:g}."
                " Pass probabilities, not logits or votes."
            )


def _fit_kinds(
    oof: Array, target: Array, members: tuple[str, ...], shrinkage: float, ridge: float
) -> dict[str, Blend]:
    equal = np.full(len(oof), 1 / len(oof))
    best = np.argmin([kl_per_window(target, probs).mean() for probs in oof])
    mean = oof.mean(axis=0, keepdims=True)
    fitted = {
        "equal": (equal,),
        "single": (np.eye(len(oof))[best],),
        "equal_calibrated": (equal, *fit_pool(mean, target, shrinkage, ridge)[1:]),
        "shrunk": fit_pool(oof, target, shrinkage, ridge),
    }
    return {kind: _rounded(members, kind, *fitted[kind]) for kind in KINDS}


def _rounded(
    members: tuple[str, ...],
    kind: str,
    weights: Array,
    temperature: float = 1.0,
    offsets: Array | float = 0.0,
) -> Blend:
    weights = np.round(weights, DIGITS)
    offsets = np.round(np.zeros(len(CLASSES)) + offsets, DIGITS) + 0.0  # no -0
    return Blend(members, weights / weights.sum(), round(temperature, DIGITS), offsets, kind)


def _table(means: Array, samples: Array, chosen: int, confidence: float) -> pd.DataFrame:
    rows = []
    for i, kind in enumerate(KINDS):
        row = {"kind": kind, "kl": means[i]}
        row["low"], row["high"] = interval(samples[:, i], confidence)
        for name, this, that in (("gain", 0, i), ("excess", i, chosen)):
            row[name] = means[this] - means[that]
            ends = interval(samples[:, this] - samples[:, that], confidence)
            row[f"{name}_low"], row[f"{name}_high"] = ends
        rows.append({**row, "chosen": i == chosen})
    return pd.DataFrame(rows)


def _reason(table: pd.DataFrame, confidence: float) -> str:
    chosen, others = table[table["chosen"]].iloc[0], table[~table["chosen"]]
    second = others.loc[others["kl"].idxmin()]
    return (
        f"{KINDS[chosen['kind']]} has the lowest nested KL ({chosen['kl']:.4f}); the next,"
        f" {KINDS[second['kind']]}, has {second['excess']:.4f} more ({confidence:.0%} interval"
        f" {second['excess_low']:.4f} to {second['excess_high']:.4f})"
    )
