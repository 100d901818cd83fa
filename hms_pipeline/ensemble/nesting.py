"""Fits with groups left out, and strengths chosen without the group that judges them.

For an outer group the strengths are chosen by leaving out one more group at a time among the
rest. The fit without groups f and g serves both the choice for f and the choice for g, so ten
folds need 45 + 10 + 1 weight paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from .calibration import fit_calibration
from .weights import PLAIN, data_hessian, fit_weights, greedy_weights

Array = NDArray[np.float64]
Excluded = frozenset[int]
MAX_UNITS = 10
FLOOR = 1e-9  # least probability of a member, so that no logarithm is infinite
ENDPOINT = (1e-4, 1e-5, PLAIN)  # continuation from the weakest shrinkage to the plain weights


def nesting_units(groups: NDArray, patients: NDArray) -> tuple[NDArray, NDArray]:
    """Parts of the windows that are left out together.

    Parameters
    ----------
    groups, patients : array, shape (n_windows,)
        Folds to nest by; a patient's windows in one group stay in one unit.

    Returns
    -------
    units, outer : array of int, shape (n_windows,)
        ``outer`` numbers the groups (more than ten are merged to ten). ``units`` are the groups
        themselves, or with fewer than four, halves of them by patient, so that something is
        left to learn from when two are left out.
    """
    outer = np.unique(groups, return_inverse=True)[1] % MAX_UNITS
    if len(np.unique(outer)) >= 4:
        return outer, outer
    half = np.zeros(len(outer), dtype=int)
    for group in np.unique(outer):
        rows = outer == group
        half[rows] = np.unique(patients[rows], return_inverse=True)[1] % 2
    return np.unique(outer * 2 + half, return_inverse=True)[1], outer


class Nesting:
    """Blends fitted on all windows but some units; every fit is made once.

    Parameters
    ----------
    oof : array, shape (n_members, n_windows, 6)
        Out-of-fold probabilities, at least ``FLOOR``.
    target : array, shape (n_windows, 6)
        Vote shares.
    units, outer : array of int, shape (n_windows,)
        From ``nesting_units``.
    shrinkage, ridge : sequence of float
        Strengths to choose from.
    greedy_rounds : int
        Picks of the greedy selection.
    """

    def __init__(
        self,
        oof: Array,
        target: Array,
        units: NDArray,
        outer: NDArray,
        shrinkage: Sequence[float],
        ridge: Sequence[float],
        greedy_rounds: int,
    ) -> None:
        self.units, self.outer = units, outer
        self.shrinkage = sorted(shrinkage, reverse=True)
        self.ridge = sorted(ridge, reverse=True)
        self.greedy_rounds = greedy_rounds
        self.equal = np.full(len(oof), 1 / len(oof))
        self.n_windows = np.bincount(units)
        self._oof = np.ascontiguousarray(oof.transpose(0, 2, 1))  # (n_members, 6, n_windows)
        self._target = np.ascontiguousarray(target.T)
        rows, classes = np.nonzero(target)  # one term per window and class with votes
        self._probs = np.ascontiguousarray(oof[:, rows, classes])
        self._votes, self._term_units = target[rows, classes], units[rows]
        self._paths: dict[Excluded, list[Array]] = {}
        self._calibrations: dict[tuple[Excluded, int | None], list[Array]] = {}

    @cached_property
    def all_units(self) -> Excluded:
        return frozenset(range(len(self.n_windows)))

    def outer_units(self, group: int) -> Excluded:
        return frozenset(np.unique(self.units[self.outer == group]).tolist())

    def _share(self, excluded: Excluded) -> Array:
        """The terms' shares of the mean over the windows that are left, 0 for the others."""
        kept = np.ones(len(self.n_windows))
        kept[list(excluded)] = 0
        return self._votes * (kept / max(kept @ self.n_windows, 1))[self._term_units]

    @cached_property
    def _anchors(self) -> list[tuple[Array, Array]]:
        """For each shrinkage the weights fitted on everything, and the curvature by unit there."""
        anchors, weights = [], self.equal
        everything = self._share(frozenset())
        by_unit = [np.flatnonzero(self._term_units == unit) for unit in sorted(self.all_units)]
        for strength in (*self.shrinkage, *ENDPOINT):
            weights = fit_weights(self._probs, everything, strength, weights)
            curvature = [
                data_hessian(self._probs[:, terms], self._votes[terms], weights)
                for terms in by_unit
            ]
            anchors.append((weights, np.stack(curvature)))
        return anchors

    def _fit(self, excluded: Excluded, strengths: slice) -> list[Array]:
        share = self._share(excluded)
        kept = sorted(self.all_units - excluded)
        n_windows = self.n_windows[kept].sum()
        all_strengths = (*self.shrinkage, *ENDPOINT)
        return [
            fit_weights(self._probs, share, strength, weights, curvature[kept].sum(0) / n_windows)
            for strength, (weights, curvature) in zip(
                all_strengths[strengths], self._anchors[strengths], strict=True
            )
        ]

    def shrunk(self, excluded: Excluded) -> list[Array]:
        """Weights for every shrinkage, strongest first."""
        if excluded not in self._paths:
            self._paths[excluded] = self._fit(excluded, slice(len(self.shrinkage)))
        return self._paths[excluded]

    def plain(self, excluded: Excluded) -> Array:
        return self._fit(excluded, slice(-1, None))[0]

    def greedy(self, excluded: Excluded) -> Array:
        return greedy_weights(self._probs, self._share(excluded), self.greedy_rounds)

    def calibrations(self, excluded: Excluded, shrinkage: int | None) -> list[Array]:
        """Slope and offsets for every ridge; ``shrinkage`` None calibrates the equal mean."""
        key = (excluded, shrinkage)
        if key not in self._calibrations:
            rows = ~np.isin(self.units, list(excluded))
            log_pool = self._log_pool(excluded, shrinkage)[:, rows]
            target = self._target[:, rows]
            near = self.calibrations(frozenset(), shrinkage) if excluded else None
            self._calibrations[key] = [
                fit_calibration(log_pool, target, ridge, near[i] if near else None)
                for i, ridge in enumerate(self.ridge)
            ]
        return self._calibrations[key]

    def _log_pool(self, excluded: Excluded, shrinkage: int | None) -> Array:
        weights = self.equal if shrinkage is None else self.shrunk(excluded)[shrinkage]
        return np.log(np.einsum("m,mcn->cn", weights, self._oof))

    def choose_shrinkage(self, excluded: Excluded) -> int:
        """Index of the shrinkage with the least loss on units left out one at a time."""
        losses = np.zeros(len(self.shrinkage))
        for unit in self._inner(excluded):
            terms = self._term_units == unit
            weights = np.stack(self.shrunk(excluded | {unit}))
            pools = np.einsum("sm,mk->sk", weights, self._probs[:, terms])
            losses -= np.einsum("sk,k->s", np.log(pools), self._votes[terms])
        return int(losses.argmin())

    def choose_ridge(self, excluded: Excluded, shrinkage: int | None) -> int:
        """Index of the ridge, likewise; ``shrinkage`` None calibrates the equal mean."""
        losses = np.zeros(len(self.ridge))
        for unit in self._inner(excluded):
            inside = excluded | {unit}
            rows = self.units == unit
            log_pool = self._log_pool(inside, shrinkage)[:, rows]
            for i, theta in enumerate(self.calibrations(inside, shrinkage)):
                logits = theta[0] * log_pool + theta[1:, None]
                losses[i] -= (self._target[:, rows] * log_softmax(logits, axis=0)).sum()
        return int(losses.argmin())

    def _inner(self, excluded: Excluded) -> list[int]:
        """Units to judge by; none when leaving one out would leave nothing to fit on."""
        left = sorted(self.all_units - excluded)
        return left if len(left) > 1 else []
