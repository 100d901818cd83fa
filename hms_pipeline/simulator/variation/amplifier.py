"""The amplifier and its filters."""

from __future__ import annotations

import numpy as np

from .catalogue import log_uniform, variation


@variation("amplifier", "amplifier")
def amplifier(rng: np.random.Generator) -> dict[str, object]:
    """High-pass, low-pass and notch of clinical machines."""
    return {
        "highpass_hz": log_uniform(rng, 0.016, 1.0),
        "lowpass_hz": log_uniform(rng, 20, 90) if rng.random() < 0.6 else 0.0,
        "order": int(rng.choice([1, 2, 4])),
        "notch_hz": float(rng.choice([50, 60], p=[0.35, 0.65])) if rng.random() < 0.5 else 0.0,
    }


@variation("electrode_gains", "amplifier")
def electrode_gains(rng: np.random.Generator) -> dict[str, object]:
    """Electrodes that are not all alike: distance, impedance, scalp."""
    return {"gains": float(rng.uniform(0.02, 0.2))}
