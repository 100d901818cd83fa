"""The brain between patterns: correlated 1/f sources, posterior alpha, slowing, bursts."""

from __future__ import annotations

import numpy as np

from ..schema import ELECTRODES, SFREQ
from .head import derive, electrode_positions, lead_field, project
from .noise import bin_frequencies, bump, shaped_noise, slow_curve
from .patient import Background

HIGHEST_HZ = 60.0  # above it the cortex is silent beside muscle and sensor noise


def source_positions() -> np.ndarray:
    """Sixteen cortical patches: below 16 electrodes, without Fz, Cz and Pz."""
    midline = [ELECTRODES.index(name) for name in ("Fz", "Cz", "Pz")]
    return np.delete(electrode_positions(), midline, axis=0)


def add_background(rng: np.random.Generator, potential: np.ndarray, background: Background) -> None:
    """Add the background to a potential, array of shape (19, n) in microvolts, in place."""
    n = potential.shape[1]
    positions = source_positions()
    amplitude = _source_spectra(background, positions, bin_frequencies(n, HIGHEST_HZ))
    sources = shaped_noise(rng, amplitude, n)
    # Vigilance: the sources wax and wane together.
    common = np.exp(background.unrest * slow_curve(rng, n, background.unrest_s))
    gate = burst_gate(rng, n, background) if background.suppression else 1.0
    sources *= (common * gate).astype(np.float32)
    mixing = lead_field(positions, 0.58) @ _correlated(positions)
    mixing *= np.exp(background.front * electrode_positions()[:, 1:2])
    mixing *= background.level_uv / np.linalg.norm(derive(mixing), axis=1).mean()
    project(potential, mixing, sources)
    _add_rhythms(rng, potential, background, gate)


def _source_spectra(background: Background, positions: np.ndarray, freqs: np.ndarray) -> np.ndarray:
    """Amplitude densities, array of shape (16, n_bins), of about unit power."""
    # Little below 0.5 Hz, as DC drifts belong to the electrodes, not to the cortex.
    power = 1 / (background.knee_hz**background.exponent + freqs**background.exponent)
    power *= freqs**2 / (freqs**2 + 0.16)
    delta = power * bump(freqs, background.delta_hz, 0.35 + 0.3 * background.delta_hz)
    theta = power * bump(freqs, background.theta_hz, 1.3)
    total = (power + background.delta * delta + background.theta * theta).sum() * freqs[1]
    # Each source has the same three parts in other shares: by front and back, and by the lesion.
    slow = np.exp(background.slow_front * positions[:, 1])
    ill = np.clip(3 * positions[:, 0] * background.lesion_side, 0, 1) * background.lesion
    fast = (1 - 0.6 * np.clip(ill, 0, 1)) * np.where(ill > 0, background.breach**2, 1.0)
    slow_shares = background.delta * slow * (1 + 3 * ill), 2 * background.theta * slow * (1 + ill)
    spectra = np.outer(slow_shares[0], delta) + np.outer(slow_shares[1], theta)
    split = int(np.searchsorted(freqs, 8.0))
    spectra[:, :split] += power[:split]
    spectra[:, split:] += np.outer(fast, power[split:])
    return np.sqrt(spectra / total).astype(np.float32)


def _correlated(positions: np.ndarray, length: float = 0.8) -> np.ndarray:
    """Square root of the sources' correlation, which falls with their distance."""
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    return np.linalg.cholesky(np.exp(-distance / length))


def _add_rhythms(
    rng: np.random.Generator,
    potential: np.ndarray,
    background: Background,
    gate: np.ndarray | float,
) -> None:
    """Occipital alpha on both sides, which waxes and wanes, and frontal beta."""
    n = potential.shape[1]
    freqs = bin_frequencies(n, 35.0)
    alpha = bump(freqs, background.alpha_hz, 0.6)
    peaks = np.stack([alpha, alpha, bump(freqs, background.beta_hz, 3.5)])
    peaks /= np.sqrt((peaks**2).sum(axis=1, keepdims=True) * freqs[1])
    waves = shaped_noise(rng, peaks.astype(np.float32), n)
    left, right = (1 - 0.6 * background.lesion * (background.lesion_side == s) for s in (-1, 1))
    levels = np.array([
        background.alpha_uv * max(left, 0.2), background.alpha_uv * max(right, 0.2),
        background.beta_uv,
    ])  # fmt: skip
    positions = electrode_positions()
    where = positions[[ELECTRODES.index("O1"), ELECTRODES.index("O2"), ELECTRODES.index("Fz")]]
    envelope = np.exp(0.6 * slow_curve(rng, n, 3.0)) * gate
    project(potential, lead_field(where, 0.45) * levels, waves * envelope)


def burst_gate(rng: np.random.Generator, n: int, background: Background) -> np.ndarray:
    """Burst suppression: a gain near 1 in bursts, near 0 between them."""
    low = 1 - 0.95 * background.suppression
    knots, gains, place = [0.0], [low], rng.uniform(0, 5)
    while place < n / SFREQ:
        burst = background.burst_s * rng.lognormal(0, 0.4)
        height = rng.lognormal(0.2, 0.3)
        knots += [place, place + 0.2, place + 0.2 + burst, place + 0.5 + burst]
        gains += [low, height, height, low]
        place += burst + 0.5 + background.pause_s * rng.lognormal(0, 0.4)
    return np.interp(np.arange(n) / SFREQ, knots, gains)
