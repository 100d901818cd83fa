"""One temperature and six class offsets on top of a pool, under a ridge: convex, by Newton."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NEARLY = 1e-6  # Newton decrement in nats from which one more step is exact
SLOPES = (0.05, 20.0)  # allowed 1 / temperature


def calibrate(log_probs: Array, slope: float, offsets: Array) -> Array:
    """softmax(slope · log_probs + offsets), shape as ``log_probs`` (n_windows, 6)."""
    logits = slope * log_probs + offsets
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def fit_calibration(
    log_probs: Array, target: Array, ridge: float, start: Array | None = None
) -> Array:
    """Slope (1 / temperature) and offsets that minimise the mean KL divergence plus a ridge.

    Parameters
    ----------
    log_probs, target : array, shape (6, n_windows)
        Logarithms of a pool's probabilities; vote shares. Class first: sums over classes run
        along memory.
    ridge : float
        Strength of ½ ((slope − 1)² + |offsets|²), nats, > 0. It also keeps a class that never
        occurs at a finite offset.
    start : array, shape (7,), optional
        Where to start; the neutral slope 1 and offsets 0 where None.

    Returns
    -------
    array, shape (7,)
        Slope, then offsets, which sum to 0.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017 (vector scaling with one
    slope).
    """
    n_classes, n = log_probs.shape
    neutral = np.concatenate([[1.0], np.zeros(n_classes)])
    mean_target = np.append(np.einsum("cn,cn->", target, log_probs), target.sum(axis=1)) / n

    def loss(theta: Array) -> tuple[float, Array]:
        logits = theta[0] * log_probs + theta[1:, None]
        exp = np.exp(np.minimum(logits, 500.0, out=logits), out=logits)  # no overflow
        total = exp.sum(axis=0)
        value = np.log(total).sum() / n - mean_target @ theta
        return value + ridge / 2 * ((theta - neutral) ** 2).sum(), np.divide(exp, total, out=exp)

    theta = neutral if start is None else start
    current, probs = loss(theta)
    for _ in range(50):
        hessian, mean_probs = _derivatives(log_probs, probs)
        gradient = mean_probs - mean_target + ridge * (theta - neutral)
        step = -np.linalg.solve(hessian + ridge * np.eye(n_classes + 1), gradient)
        decrement = -gradient @ step
        if decrement < NEARLY:  # Newton squares the distance: nothing is left after this step
            return _finish(theta + step)
        size = 1.0
        while (trial := loss(theta + size * step))[0] > current - 0.1 * size * decrement:
            size /= 2
            if size < 1e-8:
                return _finish(theta)
        theta = theta + size * step
        current, probs = trial
    return _finish(theta)


def _finish(theta: Array) -> Array:
    offsets = theta[1:] - theta[1:].mean()
    return np.concatenate([[np.clip(theta[0], *SLOPES)], offsets])


def _derivatives(log_probs: Array, probs: Array) -> tuple[Array, Array]:
    """Hessian (7, 7) of the data term, and its gradient's part that depends on ``probs`` (7,)."""
    n_classes, n = probs.shape
    weighted = probs * log_probs
    mean = weighted.sum(axis=0)
    mean_probs = probs.sum(axis=1) / n
    second = np.empty((n_classes + 1, n_classes + 1))
    second[0, 0] = (np.einsum("cn,cn->", weighted, log_probs) - np.einsum("n,n->", mean, mean)) / n
    second[0, 1:] = (weighted.sum(axis=1) - np.einsum("cn,n->c", probs, mean)) / n
    second[1:, 0] = second[0, 1:]
    second[1:, 1:] = np.diag(mean_probs) - np.einsum("cn,dn->cd", probs, probs) / n
    return second, np.append(mean.sum() / n, mean_probs)
