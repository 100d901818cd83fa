"""Learning rates of all steps of a stage, known before it starts.

References
----------
Smith & Topin, "Super-Convergence", 2018 (one cycle);
Loshchilov & Hutter, "SGDR", ICLR 2017 (cosine).
"""

from __future__ import annotations

import numpy as np

_RISE = 0.3  # share of the steps in which the rate rises
_START = 1 / 25  # first rate, as a share of max_lr
_END = 1 / 25e4


def learning_rates(schedule: str, n_steps: int, max_lr: float) -> np.ndarray:
    """Learning rate of each step, shape (n_steps,).

    Parameters
    ----------
    schedule : str
        ``"onecycle"``: cosine rise over the first 30 %, cosine fall after; ``"cosine"``: fall
        from ``max_lr`` to almost 0.
    n_steps : int
    max_lr : float
    """
    step = np.arange(n_steps)
    if schedule == "cosine":
        return max_lr * 0.5 * (1 + np.cos(np.pi * step / max(n_steps, 1)))
    if schedule != "onecycle":
        raise ValueError(f"schedule must be 'onecycle' or 'cosine', got {schedule!r}.")
    peak = max(_RISE * n_steps - 1, 0.0)
    rise = _cosine(_START, 1.0, step / peak if peak else np.ones(n_steps))
    fall = _cosine(1.0, _END, (step - peak) / max(n_steps - 1 - peak, 1e-9))
    return max_lr * np.where(step <= peak, rise, fall)


def _cosine(start: float, end: float, share: np.ndarray) -> np.ndarray:
    return end + (start - end) * 0.5 * (1 + np.cos(np.pi * share))


def ema_weights(n_steps: int, decay: float) -> np.ndarray:
    """Share of the new weights in the moving average after each step, shape (n_steps,).

    The average starts quickly: at step t the decay is at most (1 + t) / (10 + t).
    """
    step = np.arange(n_steps)
    return 1 - np.minimum(decay, (1 + step) / (10 + step))
