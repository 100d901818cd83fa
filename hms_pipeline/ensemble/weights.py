"""Weights of a linear pool: a convex problem on the simplex, and greedy selection beside it.

The pull toward the equal mean is ``shrinkage · KL(equal ‖ weights)``. It is convex, vanishes at
the equal mean and is at the same time a logarithmic barrier of the simplex, so Newton's method
solves every strength exactly and the limit of strength 0 to within ``strength`` nats
(Boyd & Vandenberghe, Convex Optimization, 2004, §11.2).

Sums are einsums, not BLAS calls: one order of addition whatever the number of threads, so that
equal inputs give equal bytes, and no spinning threads on a busy machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PLAIN = 1e-6  # nats: how far the plain weights may be from the unpenalised optimum
TOLERANCE = 1e-11  # Newton decrement, nats


def fit_weights(
    probs: Array,
    share: Array,
    shrinkage: float,
    start: Array,
    curvature: Array | None = None,
) -> Array:
    """Minimise −Σ share · ln(weights @ probs) + shrinkage · KL(equal ‖ weights) on the simplex.

    Parameters
    ----------
    probs : array, shape (n_members, n_terms)
        Each member's probability of the classes that got votes, one term per window and class.
    share : array, shape (n_terms,)
        The terms' vote shares divided by the number of windows; 0 leaves a term out.
    shrinkage : float
        Strength in nats, > 0.
    start : array, shape (n_members,)
        Inside the simplex.
    curvature : array, shape (n_members, n_members), optional
        ``data_hessian`` of similar data near the solution: saves computing it in every step.

    Returns
    -------
    array, shape (n_members,)
        Positive, sums to 1.
    """
    pull = shrinkage / len(probs)

    def loss(w: Array) -> tuple[float, Array]:
        pool = np.einsum("m,mk->k", w, probs)
        return float(-np.einsum("k,k->", share, np.log(pool)) - pull * np.log(w).sum()), pool

    weights, (current, pool) = start, loss(start)
    for _ in range(200):
        gradient = -np.einsum("mk,k->m", probs, share / pool) - pull / weights
        hessian = data_hessian(probs, share, weights) if curvature is None else curvature
        step = _simplex_step(hessian + np.diag(pull / weights**2), gradient)
        decrement = -gradient @ step
        if decrement < TOLERANCE:
            break
        size = min(1.0, 0.95 / max(float((-step / weights).max()), 1e-300))
        while (trial := loss(weights + size * step))[0] > current - 0.1 * size * decrement:
            size /= 2
            if size < 1e-8:
                return weights
        weights = weights + size * step
        current, pool = trial
    return weights / weights.sum()


def data_hessian(probs: Array, share: Array, weights: Array) -> Array:
    """Second derivatives of −Σ share · ln(weights @ probs), shape (n_members, n_members)."""
    ratio = probs / np.einsum("m,mk->k", weights, probs)
    return np.einsum("mk,nk->mn", ratio * share, ratio)


def _simplex_step(hessian: Array, gradient: Array) -> Array:
    """Newton step with the sum of the weights kept."""
    solved = np.linalg.solve(hessian, np.stack([gradient, np.ones_like(gradient)], axis=1))
    return -solved[:, 0] + solved[:, 1] * solved[:, 0].sum() / solved[:, 1].sum()


def greedy_weights(probs: Array, share: Array, rounds: int) -> Array:
    """Selection with replacement: add the member that lowers the mean's loss most.

    Parameters
    ----------
    probs, share : array, shape (n_members, n_terms), (n_terms,)
        As in ``fit_weights``.
    rounds : int
        Picks; the best prefix of them is kept.

    Returns
    -------
    array, shape (n_members,)
        Shares of the picks.

    References
    ----------
    Caruana et al., "Ensemble selection from libraries of models", ICML 2004.
    """
    used = share > 0
    # half the memory traffic; picks need no more digits
    probs, share = probs[:, used].astype(np.float32), share[used].astype(np.float32)
    total = np.zeros(probs.shape[1], dtype=np.float32)
    picks: list[int] = []
    losses: list[float] = []
    for n in range(1, rounds + 1):
        values = -np.einsum("mk,k->m", np.log((total + probs) / np.float32(n)), share)
        picks.append(int(values.argmin()))
        losses.append(float(values.min()))
        total += probs[picks[-1]]
    kept = picks[: int(np.argmin(losses)) + 1]
    return np.bincount(kept, minlength=len(probs)) / len(kept)
