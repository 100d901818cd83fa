"""Periodic and rhythmic patterns: shape, cycles, field, height, prominence.

References
----------
Hirsch et al., ACNS Standardized Critical Care EEG Terminology 2021.
Jing et al., "Interrater reliability of expert electroencephalographers identifying seizures and
rhythmic and periodic patterns in EEGs", Neurology 2023.
"""

from __future__ import annotations

import numpy as np

from .catalogue import log_uniform, variation


@variation("discharge_shape", "morphology")
def discharge_shape(rng: np.random.Generator) -> dict[str, object]:
    """Spikes, sharp waves, blunt and triphasic discharges of two to six phases, either way up."""
    kind = rng.choice(["spike", "sharp", "blunt", "triphasic"], p=[0.2, 0.4, 0.2, 0.2])
    width = {"spike": (0.014, 0.024), "sharp": (0.02, 0.05), "blunt": (0.045, 0.1),
             "triphasic": (0.03, 0.06)}[kind]  # fmt: skip
    main = log_uniform(rng, *width)
    phases = [(2.2 * main, main, -1.0)]
    centre, sign = 2.2 * main, 1.0
    for _ in range(int(rng.integers(0, 4)) if kind != "triphasic" else 0):
        step = main * rng.uniform(1.0, 2.6)
        centre += step
        phases.append((centre, main * rng.uniform(0.5, 1.6), sign * rng.uniform(0.15, 0.9)))
        sign *= -1.0 if rng.random() < 0.8 else 1.0
    if kind == "triphasic":
        first, last = rng.uniform(0.3, 0.8), rng.uniform(0.4, 1.0)
        centre += 0.16
        phases += [(0.3 * main, main * 0.8, first), (centre, rng.uniform(0.05, 0.1), last)]
    slow = rng.uniform(0.05, 0.16)
    gain = rng.uniform(0, 0.9) * (1 if rng.random() < 0.85 else -1)
    phases.append((centre + 1.6 * slow + main, slow, gain))
    polarity = 1.0 if rng.random() < 0.75 else -1.0
    earliest = min(centre - 2.5 * width for centre, width, _ in phases)
    return {"phases": tuple(
        (float(centre - min(earliest, 0)), float(width), float(polarity * height))
        for centre, width, height in phases
    )}  # fmt: skip


@variation("discharge_variety", "morphology")
def discharge_variety(rng: np.random.Generator) -> dict[str, object]:
    """Discharges of one patient differ, from nearly the same to polymorphic."""
    return {"variety": log_uniform(rng, 0.06, 0.5)}


@variation("cycles", "morphology")
def cycles(rng: np.random.Generator) -> dict[str, object]:
    """Heights, durations, intervals and gaps from cycle to cycle."""
    return {
        "height_spread": log_uniform(rng, 0.05, 0.45),
        "stretch_spread": float(rng.uniform(0.0, 0.3)),
        "missing": float(rng.uniform(0, 0.15)) if rng.random() < 0.5 else 0.0,
        "jitter": log_uniform(rng, 0.01, 0.25),
        "regularity": log_uniform(rng, 0.015, 0.2),
    }


@variation("wave_shape", "morphology")
def wave_shape(rng: np.random.Generator) -> dict[str, object]:
    """Rhythmic waves between a sine, a saw tooth and an arch."""
    return {"harmonics": float(rng.uniform(0, 0.45)), "skew": float(rng.uniform(-0.8, 0.8))}


@variation("plus_features", "morphology")
def plus_features(rng: np.random.Generator) -> dict[str, object]:
    """Fast activity (+F) or sharp waves (+S) that ride on the pattern."""
    return {
        "fast": log_uniform(rng, 0.01, 0.06) if rng.random() < 0.5 else 0.0,
        "fast_hz": float(rng.uniform(9, 24)),
        "sharp": float(rng.uniform(0.15, 1.0)) if rng.random() < 0.3 else 0.0,
    }


@variation("field", "morphology")
def field(rng: np.random.Generator) -> dict[str, object]:
    """Site, breadth, orientation; frontal or occipital predominance; lags."""
    return {
        "site": (float(rng.uniform(40, 95)), float(rng.uniform(-80, 80))),
        "spread_site": (float(rng.uniform(40, 95)), float(rng.uniform(-80, 80))),
        "breadth": log_uniform(rng, 0.35, 1.7),
        "tangential": float(rng.uniform(0, 0.9)) if rng.random() < 0.4 else 0.0,
        "front": float(rng.normal(0.8, 1.0)),
        "asymmetry": float(rng.uniform(0, 0.35)),
        "lag_s": float(rng.uniform(0.0, 0.03)),
        "back_lag_s": float(rng.uniform(-0.03, 0.14)) if rng.random() < 0.35 else 0.0,
    }


@variation("field_wander", "morphology")
def field_wander(rng: np.random.Generator) -> dict[str, object]:
    """The field moves from cycle to cycle."""
    return {"wander": log_uniform(rng, 0.02, 1)}


@variation("independent_focus", "morphology")
def independent_focus(rng: np.random.Generator) -> dict[str, object]:
    """A second focus on the other side that keeps its own time (bilateral independent)."""
    return {"independent": float(rng.uniform(0.3, 0.8)) if rng.random() < 0.07 else 0.0}


@variation("height", "morphology")
def height(rng: np.random.Generator) -> dict[str, object]:
    """From very low to very high."""
    return {"height_uv": log_uniform(rng, 28, 500)}


@variation("shortfall", "morphology")
def shortfall(rng: np.random.Generator) -> dict[str, object]:
    """Patterns that few raters see are weak, brief or irregular, or some of each."""
    ways = rng.uniform(0, 1, size=3)
    ways[rng.choice(3, p=[0.45, 0.35, 0.2])] = 1.0
    return dict(zip(("weak", "brief", "irregular"), ways.tolist(), strict=True))
