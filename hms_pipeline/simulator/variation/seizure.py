"""Seizures of the kinds that ICU EEG shows.

References
----------
Hirsch et al., ACNS Standardized Critical Care EEG Terminology 2021: more than 2.5 Hz, or evolution.
Leitinger et al., "Diagnostic accuracy of the Salzburg EEG criteria", Lancet Neurol 2016.
"""

from __future__ import annotations

import numpy as np

from .catalogue import log_uniform, variation

# Kind: share, ranges of the rate in Hz at start, middle and end, heights there, sharpness.
KINDS = {
    "slowing": (0.2, ((3, 8), (2.5, 5), (1, 2.6)), (0.6, 1.2, 1.5), None),
    "build-up": (0.15, ((0.8, 2), (3, 8), (1.5, 3)), (0.6, 1.1, 1.4), None),
    "rhythmic theta or alpha": (0.12, ((6, 12), (5, 9), (2, 6)), (0.5, 1.0, 1.3), 0.1),
    "spike and wave": (0.15, ((2.7, 4.5), (2.6, 4), (2, 3.5)), (1.1, 1.2, 1.2), 0.95),
    "fast onset": (0.1, ((13, 22), (7, 11), (2, 5)), (0.2, 0.6, 1.3), 0.1),
    "in place": (0.16, ((1.8, 4), (2, 4), (1.5, 3.5)), (0.6, 1.2, 1.5), None),
    "periodic": (0.16, ((1.2, 2.2), (2.6, 4.5), (1.8, 3)), (0.8, 1.2, 1.2), 0.9),
}


@variation("seizure_kind", "seizure")
def seizure_kind(rng: np.random.Generator) -> dict[str, object]:
    """How rate, height and shape evolve."""
    shares = np.array([share for share, *_ in KINDS.values()])
    name = rng.choice(list(KINDS), p=shares / shares.sum())
    _, rates, heights, sharpness = KINDS[name]
    return {
        "rates_hz": tuple(log_uniform(rng, low, high) for low, high in rates),
        "heights": tuple(float(h * rng.lognormal(0, 0.35)) for h in heights),
        "sharpness": sharpness,
    }


@variation("seizure_course", "seizure")
def seizure_course(rng: np.random.Generator) -> dict[str, object]:
    """How long seizures last, how far they spread and what is left afterwards."""
    return {
        "length_s": log_uniform(rng, 20, 180)
        if rng.random() < 0.85
        else log_uniform(rng, 180, 900),
        "spread": float(rng.uniform(0, 1)),
        "pause": float(rng.uniform(0, 0.9)) if rng.random() < 0.6 else 0.0,
    }
