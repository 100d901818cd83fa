"""The brain between patterns: correlated 1/f sources, posterior alpha, slowing, bursts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..schema import ELECTRODES, SFREQ
from .head import derive, electrode_positions, lead_field, project
from .noise import bin_frequencies, bump, shaped_noise, slow_curve

HIGHEST_HZ = 60.0  # above it the cortex is silent beside muscle and sensor noise


@dataclass(frozen=True)
class Background:
    """A patient's background.

    Parameters
    ----------
    level_uv : float
        Standard deviation in a typical derivation of the double banana.
    exponent : float
        Power falls as 1 / f ** exponent.
    delta, theta : float
        Slowing: peaks around 1.5 Hz and 5.5 Hz, relative to the 1/f level there.
    alpha_hz, alpha_uv : float
        Posterior rhythm; 0 uV in most comatose patients.
    beta_uv : float
        Frontal fast activity (drugs).
    lesion_side : int
        -1 left, 0 none, 1 right: more delta, less alpha and beta there.
    suppression : float
        0 continuous; up to 1: bursts between flat stretches.
    """

    level_uv: float
    exponent: float
    delta: float
    theta: float
    alpha_hz: float
    alpha_uv: float
    beta_uv: float
    lesion_side: int
    suppression: float


def draw_background(rng: np.random.Generator, lesion_side: int) -> Background:
    """A critically ill patient's background: mostly slow, rarely with alpha."""
    awake = rng.random() < 0.22
    return Background(
        level_uv=float(np.clip(rng.lognormal(np.log(7.5), 0.35), 3, 18)),
        exponent=float(rng.normal(1.7, 0.25)),
        delta=float(rng.lognormal(np.log(1.2), 0.6)),
        theta=float(rng.lognormal(np.log(0.8), 0.6)),
        alpha_hz=float(rng.uniform(7.5, 10.5)),
        alpha_uv=float(rng.uniform(5, 16)) if awake else float(rng.uniform(0, 2)),
        beta_uv=float(rng.lognormal(np.log(2.0), 0.5)),
        lesion_side=lesion_side,
        suppression=float(rng.uniform(0.6, 1.0)) if not awake and rng.random() < 0.08 else 0.0,
    )


def source_positions() -> np.ndarray:
    """Sixteen cortical patches: below 16 electrodes, without Fz, Cz and Pz."""
    midline = [ELECTRODES.index(name) for name in ("Fz", "Cz", "Pz")]
    return np.delete(electrode_positions(), midline, axis=0)


def add_background(rng: np.random.Generator, potential: np.ndarray, background: Background) -> None:
    """Add the background to a potential, array of shape (19, n) in microvolts, in place."""
    n = potential.shape[1]
    positions = source_positions()
    freqs = bin_frequencies(n, HIGHEST_HZ)
    amplitude = _source_spectra(background, positions, freqs)
    sources = shaped_noise(rng, amplitude, n)
    # Vigilance: the slow sources wax and wane together, and each a little on its own.
    common = np.exp(0.18 * slow_curve(rng, n, 20.0))
    if background.suppression:
        common *= burst_gate(rng, n, background.suppression)
    sources *= common
    mixing = lead_field(positions, 0.58) @ _correlated(positions)
    mixing *= background.level_uv / np.linalg.norm(derive(mixing), axis=1).mean()
    project(potential, mixing, sources)
    _add_rhythms(rng, potential, background)


def _source_spectra(background: Background, positions: np.ndarray, freqs: np.ndarray) -> np.ndarray:
    """Amplitude densities, array of shape (16, n_bins), of unit power without theta."""
    # Flat below 0.5 Hz, as DC drifts belong to the electrodes, not to the cortex.
    power = np.maximum(freqs, 0.5) ** -background.exponent * (freqs**2 / (freqs**2 + 0.25))
    delta = background.delta * bump(freqs, 1.5, 0.8)
    theta = 2 * background.theta * bump(freqs, 5.5, 1.3)
    total = (power * (1 + delta)).sum() * freqs[1]
    healthy = power * (1 + delta + theta)
    lesioned = power * (1 + 3 * delta + 0.7 * theta) * np.where(freqs > 8, 0.5, 1.0)
    both = np.sqrt(np.stack([healthy, lesioned]) / total)
    return both[(positions[:, 0] * background.lesion_side > 0.1).astype(np.intp)]


def _correlated(positions: np.ndarray, length: float = 0.8) -> np.ndarray:
    """Square root of the sources' correlation, which falls with their distance."""
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    return np.linalg.cholesky(np.exp(-distance / length))


def _add_rhythms(rng: np.random.Generator, potential: np.ndarray, background: Background) -> None:
    """Occipital alpha on both sides, which waxes and wanes, and frontal beta."""
    n = potential.shape[1]
    freqs = bin_frequencies(n, 30.0)
    peaks = np.stack([
        bump(freqs, background.alpha_hz, 0.6),
        bump(freqs, background.alpha_hz, 0.6),
        bump(freqs, 19.0, 3.5),
    ])  # fmt: skip
    peaks /= np.sqrt((peaks**2).sum(axis=1, keepdims=True) * freqs[1])
    waves = shaped_noise(rng, peaks, n)
    envelope = np.exp(0.5 * slow_curve(rng, n, 4.0))
    side = background.lesion_side
    levels = np.array([
        background.alpha_uv * (0.5 if side < 0 else 1.0),
        background.alpha_uv * (0.5 if side > 0 else 1.0),
        background.beta_uv,
    ])  # fmt: skip
    positions = electrode_positions()
    where = positions[[ELECTRODES.index("O1"), ELECTRODES.index("O2"), ELECTRODES.index("Fz")]]
    waves[:2] *= envelope
    project(potential, lead_field(where, 0.45) * levels, waves)


def burst_gate(rng: np.random.Generator, n: int, depth: float) -> np.ndarray:
    """Burst suppression: a gain near 1 in bursts of 1-4 s, near 0 for 2-12 s between them."""
    total_s = n / SFREQ
    knots, gains, place = [0.0], [1.0], rng.uniform(0, 5)
    while place < total_s:
        burst, pause = rng.uniform(1, 4), rng.uniform(2, 12)
        knots += [place, place + 0.3, place + burst, place + burst + 0.5]
        gains += [1 - 0.93 * depth, 1.3, 1.3, 1 - 0.93 * depth]
        place += burst + 0.5 + pause
    gains[0] = gains[1]
    return np.interp(np.arange(n) / SFREQ, knots, gains)
