"""The ensemble's last step: members' probabilities → one answer, chosen on honest evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..schema import CLASSES
from ..system.errors import InputError
from .bootstrap import interval, patient_bootstrap
from .calibration import calibrate
from .metrics import kl_per_window
from .nesting import FLOOR, Nesting, nesting_units

Array = NDArray[np.float64]

# Simplest first: a later kind is used only where it is better beyond doubt.
KINDS = {
    "equal": "equal mean",
    "equal_calibrated": "equal mean, calibrated",
    "greedy": "greedy selection",
    "plain": "plain weights",
    "shrunk": "shrunk weights, calibrated",
}
DIGITS = 6  # stated weights, temperature and offsets are the ones that are applied


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
        interval), ``gain, gain_low, gain_high`` (over the equal mean, paired), ``chosen``.
    candidates : dict of str to Blend
        Each kind fitted on all windows.
    nested : dict of str to dict
        Kind → group → the blend fitted without that group.
    reason : str
        Why this kind.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    candidates: dict[str, Blend] = field(default_factory=dict)
    nested: dict[str, dict[Any, Blend]] = field(default_factory=dict)
    reason: str = ""

    def nested_predict(self, oof: Array, groups: NDArray, kind: str | None = None) -> Array:
        """Predict every window by the blend that was fitted without its group.

        Groups that had no window in the fit get the blend fitted on all.
        """
        kind = self.kind if kind is None else kind
        probs = np.empty(oof.shape[1:])
        for group in np.unique(groups):
            rows = groups == group
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
    present = np.isfinite(member_probs).all(axis=2)  # (n_members, n_windows)
    if not present.any(axis=0).all():
        row = int(np.flatnonzero(~present.any(axis=0))[0])
        raise InputError(f"Window {row} has no member's probabilities. Give at least one.")
    weights = blend.weights[:, None] * present
    lost = weights.sum(axis=0) <= 0
    weights[:, lost] = present[:, lost]
    floored = np.where(present[:, :, None], np.maximum(member_probs, FLOOR), 0.0)
    total = np.zeros(member_probs.shape[1:])
    for weight, probs in zip(weights, floored, strict=True):
        total += weight[:, None] * probs
    total /= weights.sum(axis=0)[:, None]
    return calibrate(np.log(total), 1 / blend.temperature, blend.offsets)


def fit_blend(
    oof: Array,
    target: Array,
    groups: NDArray,
    *,
    patients: NDArray | None = None,
    members: Sequence[str] | None = None,
    shrinkage: Sequence[float] = (0.1, 0.03, 0.01, 0.003, 0.001),
    ridge: Sequence[float] = (0.3, 0.1, 0.03, 0.01),
    greedy_rounds: int = 20,
    n_bootstrap: int = 2000,
    confidence: float = 0.9,
    seed: int = 0,
) -> FittedBlend:
    """Fit every kind of blend, estimate each nested by group, and choose one.

    The best nested estimate is chosen, or the simplest kind (order of ``KINDS``) over which its
    paired gain is not above zero at ``confidence``.

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
    shrinkage, ridge : sequence of float
        Strengths to choose from, inside the nested loop.
    greedy_rounds : int
        Picks of the greedy selection.
    n_bootstrap, confidence, seed
        Resamplings of patients, coverage of the intervals, seed.

    Returns
    -------
    FittedBlend

    Raises
    ------
    InputError
        Shapes that do not fit, rows that do not sum to 1, one group only.

    References
    ----------
    Stone, "The opinion pool", Ann. Math. Stat. 1961; Guo et al., ICML 2017.
    """
    oof, target, groups = np.asarray(oof, float), np.asarray(target, float), np.asarray(groups)
    _check(oof, target, groups)
    members = tuple(map(str, range(len(oof)))) if members is None else tuple(members)
    patients = np.arange(len(target)) if patients is None else np.asarray(patients)
    units, outer = nesting_units(groups, patients)
    nesting = Nesting(np.maximum(oof, FLOOR), target, units, outer, shrinkage, ridge, greedy_rounds)
    candidates = {kind: _fit(nesting, kind, frozenset(), members) for kind in KINDS}
    by_outer = {
        kind: {
            group: _fit(nesting, kind, nesting.outer_units(group), members)
            for group in np.unique(outer).tolist()
        }
        for kind in KINDS
    }
    group_of = dict(zip(groups.tolist(), outer.tolist(), strict=True))
    nested = {
        kind: {group: by_outer[kind][number] for group, number in group_of.items()}
        for kind in KINDS
    }
    losses = np.stack([_nested_losses(nested[kind], oof, target, groups) for kind in KINDS], 1)
    samples = patient_bootstrap(losses, patients, n_bootstrap, seed)
    chosen, reason = _choose(losses.mean(axis=0), samples, confidence)
    best = candidates[chosen]
    return FittedBlend(
        **vars(best),
        table=_table(losses.mean(axis=0), samples, confidence, chosen),
        candidates=candidates,
        nested=nested,
        reason=reason,
    )


def _check(oof: Array, target: Array, groups: NDArray) -> None:
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


def _fit(nesting: Nesting, kind: str, excluded: frozenset[int], members: tuple[str, ...]) -> Blend:
    theta = np.concatenate([[1.0], np.zeros(len(CLASSES))])
    if kind == "greedy":
        weights = nesting.greedy(excluded)
    elif kind == "plain":
        weights = nesting.plain(excluded)
    elif kind == "shrunk":
        shrinkage = nesting.choose_shrinkage(excluded)
        weights = nesting.shrunk(excluded)[shrinkage]
        ridge = nesting.choose_ridge(excluded, shrinkage)
        theta = nesting.calibrations(excluded, shrinkage)[ridge]
    else:
        weights = nesting.equal
        if kind == "equal_calibrated":
            ridge = nesting.choose_ridge(excluded, None)
            theta = nesting.calibrations(excluded, None)[ridge]
    rounded = np.round(weights, DIGITS)
    return Blend(
        members,
        rounded / rounded.sum(),
        round(float(1 / theta[0]), DIGITS),
        np.round(theta[1:], DIGITS) + 0.0,
        kind,
    )


def _nested_losses(
    blends: Mapping[Any, Blend], oof: Array, target: Array, groups: NDArray
) -> Array:
    losses = np.empty(len(target))
    for group, blend in blends.items():
        rows = groups == group
        losses[rows] = kl_per_window(target[rows], blend.predict(oof[:, rows]))
    return losses


def _choose(means: Array, samples: Array, confidence: float) -> tuple[str, str]:
    kinds = list(KINDS)
    best = int(means.argmin())
    for i, kind in enumerate(kinds[:best]):
        low, high = interval(samples[:, i] - samples[:, best], confidence)
        if low <= 0:
            gain = means[i] - means[best]
            return kind, (
                f"{KINDS[kinds[best]]} has the best nested KL ({means[best]:.4f}), but its gain"
                f" over the simpler {KINDS[kind]} ({gain:.4f}, {confidence:.0%} interval"
                f" {low:.4f} to {high:.4f}) is not above zero, so the simpler one is used"
            )
    return kinds[best], (
        f"{KINDS[kinds[best]]} has the best nested KL ({means[best]:.4f}), and its gain over"
        f" every simpler blend is above zero at {confidence:.0%}"
        if best
        else f"no blend has a better nested KL than the equal mean ({means[best]:.4f})"
    )


def _table(means: Array, samples: Array, confidence: float, chosen: str) -> pd.DataFrame:
    rows = []
    for i, kind in enumerate(KINDS):
        low, high = interval(samples[:, i], confidence)
        gain_low, gain_high = interval(samples[:, 0] - samples[:, i], confidence)
        rows.append(
            {
                "kind": kind,
                "kl": means[i],
                "low": low,
                "high": high,
                "gain": means[0] - means[i],
                "gain_low": gain_low,
                "gain_high": gain_high,
                "chosen": kind == chosen,
            }
        )
    return pd.DataFrame(rows)
