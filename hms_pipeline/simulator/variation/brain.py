"""Backgrounds of critically ill, drowsy and awake patients."""

from __future__ import annotations

import numpy as np

from .catalogue import log_uniform, variation


@variation("background_level", "background")
def background_level(rng: np.random.Generator) -> dict[str, object]:
    """From low voltage to high, in front or behind; it waxes and wanes."""
    return {
        "level_uv": log_uniform(rng, 2, 40) if rng.random() < 0.5 else log_uniform(rng, 4, 14),
        "front": float(rng.normal(0.1, 0.4)),
        "unrest": float(rng.uniform(0.08, 0.45)),
        "unrest_s": log_uniform(rng, 2, 30),
    }


@variation("background_spectrum", "background")
def background_spectrum(rng: np.random.Generator) -> dict[str, object]:
    """1/f exponents and knees."""
    return {
        "exponent": float(np.clip(rng.normal(1.9, 0.5), 0.6, 2.8)),
        "knee_hz": log_uniform(rng, 0.3, 3.0),
    }


@variation("slowing", "background")
def slowing(rng: np.random.Generator) -> dict[str, object]:
    """Diffuse delta and theta, in front or behind."""
    return {
        "delta": float(rng.lognormal(np.log(1.0), 1.0)),
        "delta_hz": log_uniform(rng, 0.8, 3.0),
        "theta": float(rng.lognormal(np.log(0.8), 0.9)),
        "theta_hz": float(rng.uniform(4.0, 7.5)),
        "slow_front": float(rng.normal(0.35, 0.9)),
    }


@variation("alpha", "background")
def alpha(rng: np.random.Generator) -> dict[str, object]:
    """The posterior rhythm of those who are awake; little of it in the others."""
    return {
        "alpha_uv": log_uniform(rng, 4, 22) if rng.random() < 0.3 else float(rng.uniform(0, 2.5)),
        "alpha_hz": float(rng.uniform(6.5, 11.5)),
    }


@variation("beta", "background")
def beta(rng: np.random.Generator) -> dict[str, object]:
    """Fast activity of sedated patients."""
    return {
        "beta_uv": float(np.clip(rng.lognormal(np.log(1.2), 1.1), 0.1, 14)),
        "beta_hz": float(rng.uniform(13, 26)),
    }


@variation("lesion", "background")
def lesion(rng: np.random.Generator) -> dict[str, object]:
    """Focal slowing on one side, in some patients under a breach of the skull."""
    side = int(rng.choice([-1, 0, 1], p=[0.28, 0.44, 0.28]))
    return {
        "lesion_side": side,
        "lesion": float(rng.uniform(0.2, 1.2)),
        "breach": float(rng.uniform(1.5, 4)) if rng.random() < 0.15 else 1.0,
    }


@variation("burst_suppression", "background")
def burst_suppression(rng: np.random.Generator) -> dict[str, object]:
    """Bursts between flat stretches, or a background that is merely discontinuous."""
    if rng.random() > 0.14:
        return {}
    return {
        "suppression": float(rng.uniform(0.4, 1.0)),
        "burst_s": log_uniform(rng, 0.6, 5),
        "pause_s": log_uniform(rng, 1.5, 14),
    }
