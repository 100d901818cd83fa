"""A linear pool of members, fitted: weights, one temperature and six class offsets, all at once.

Weights that are fitted before the calibration are best for the uncalibrated mean: they prefer the
sharpest member, although a temperature can sharpen a mean of many.

Sums are einsums, not BLAS calls: one order of addition whatever the number of threads, so that
equal inputs give equal bytes, and no spinning threads on a busy machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

Array = NDArray[np.float64]
FLOOR = 1e-9  # least probability of a member, so that no logarithm is infinite
TOLERANCE = 1e-7  # the fit stops when no slope is larger, nats


def fit_pool(
    probs: Array, target: Array, shrinkage: float, ridge: float
) -> tuple[Array, float, Array]:
    """Fit softmax(ln(Σ w p) / temperature + offsets) to vote shares, from the equal mean as it is.

    Minimises the mean KL divergence + ``shrinkage`` · KL(equal ‖ w)
    + ½ ``ridge`` · (ln² temperature + Σ shift²), where the shifts are what the offsets are at the
    centre, the equal mean's mean logarithms: offsets = shift + (1 − 1 / temperature) · centre.
    So a temperature sharpens about the usual answer, for which no shift is needed.

    Parameters
    ----------
    probs : array, shape (n_members, n_windows, 6)
        At least ``FLOOR``.
    target : array, shape (n_windows, 6)
        Vote shares.
    shrinkage, ridge : float, nats
        Pull toward equal weights, and toward temperature 1 and shifts 0; both > 0. They also
        keep a member that is useless and a class that never occurs at finite values.

    Returns
    -------
    weights : array, shape (n_members,)
        Positive, sum to 1.
    temperature : float
    offsets : array, shape (6,)
        Sum to 0.

    References
    ----------
    Stone, "The opinion pool", Ann. Math. Stat. 1961; Guo et al., "On calibration of modern
    neural networks", ICML 2017 (vector scaling with one slope).
    """
    from scipy.optimize import minimize  # slow to import; not for what only applies a blend

    n = len(probs)
    # class first: sums over classes run along memory
    flat = np.ascontiguousarray(probs.transpose(0, 2, 1)).reshape(n, -1)
    share = np.ascontiguousarray(target.T) / len(target)
    total = share.sum(axis=0)
    centre = np.log(probs.mean(axis=0)).mean(axis=0)[:, None]

    def loss(theta: Array) -> tuple[float, Array]:
        log_weights, log_slope, shift = log_softmax(theta[:n]), theta[n], theta[n + 1 :]
        weights, slope = np.exp(log_weights), np.exp(log_slope)
        pool = np.einsum("m,mk->k", weights, flat).reshape(share.shape)
        away = np.log(pool) - centre
        log_probs = log_softmax(slope * away + centre + shift[:, None], axis=0)
        value = -(share * log_probs).sum() - shrinkage * log_weights.mean()
        value += ridge / 2 * (log_slope**2 + (shift**2).sum())
        residual = np.exp(log_probs) * total - share  # derivative by the logits
        by_weight = np.einsum("mk,k->m", flat, (slope * residual / pool).ravel())
        gradient = [
            weights * (by_weight - (weights * by_weight).sum()) + shrinkage * (weights - 1 / n),
            [slope * (residual * away).sum() + ridge * log_slope],
            residual.sum(axis=1) + ridge * shift,
        ]
        return float(value), np.concatenate(gradient)

    start = np.zeros(n + 1 + len(share))
    theta = minimize(loss, start, jac=True, method="BFGS", options={"gtol": TOLERANCE}).x
    offsets = theta[n + 1 :] + (1 - np.exp(theta[n])) * centre[:, 0]
    return softmax(theta[:n]), float(np.exp(-theta[n])), offsets - offsets.mean()
