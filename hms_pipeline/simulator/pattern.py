"""Rhythmic and periodic patterns: one generator from a sinusoid to discharges to a seizure."""

from __future__ import annotations

import numpy as np

from ..schema import SFREQ
from .course import Course
from .head import derive, electrode_positions, lead_field, mirror_position, project, unit_vector
from .noise import bin_frequencies, bump, shaped_noise, slow_curve
from .patient import Morphology, Position

TABLES = 8  # different discharges and waves of one recording
LENGTH = 512  # points of a table


def add_pattern(
    rng: np.random.Generator, potential: np.ndarray, morphology: Morphology, course: Course
) -> None:
    """Add the pattern to a potential in place.

    Parameters
    ----------
    rng : Generator
    potential : array, shape (19, n_times)
        Microvolts at 200 Hz.
    morphology : Morphology
    course : Course
    """
    seconds = np.arange(potential.shape[1]) / SFREQ
    wave, moved = _waveform(rng, morphology, course, seconds)
    height = morphology.height_uv * course.at("level", seconds)
    wave *= height
    lag, back = round(morphology.lag_s * SFREQ), round(morphology.back_lag_s * SFREQ)
    both = np.clip(1.1 - 1.1 * course.at("laterality", seconds), 0, 1)
    mirror = np.roll(wave, lag) * both
    if morphology.independent:
        other = _waveform(rng, morphology, course, seconds)[0] * height
        mirror += morphology.independent * (1 - both) * other
    here, there = wave * both, mirror * both * (1 - morphology.asymmetry)
    late = np.roll(wave, 3 * max(lag, 1)) * course.at("spread", seconds)
    sources = np.stack([
        (wave - here) * (1 - moved), (wave - here) * moved, mirror * (1 - both), late,
        here, there, np.roll(here, back), np.roll(there, back),
    ])  # fmt: skip
    project(potential, _fields(rng, morphology), sources)


def _waveform(
    rng: np.random.Generator, morphology: Morphology, course: Course, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pattern at unit height, and how far its field has moved (0 to 1), both (n_times,)."""
    n = len(seconds)
    irregular = course.at("irregular", seconds)
    rate = course.at("rate_hz", seconds)
    rate *= np.exp((morphology.regularity + 0.5 * irregular) * slow_curve(rng, n, 0.9))
    phase = np.cumsum(rate) / SFREQ
    cycle = phase.astype(np.intp)
    part = phase - cycle
    cycles = cycle[-1] + 1
    table = rng.integers(TABLES, size=cycles)[cycle]
    sharpness = course.at("sharpness", seconds)
    mix = np.clip(1.6 * sharpness - 0.3, 0, 1)
    wave = np.zeros(n)
    if mix.max() > 0:
        place = _discharge_places(rng, morphology, rate, part, cycle)
        tables = discharge_tables(rng, morphology)
        # Discharges are short: at equal visibility they stand higher.
        wave += 1.2 * mix * tables[table, (place * (LENGTH - 1)).astype(np.intp)]
    if mix.min() < 1:
        tables = wave_tables(rng, morphology)
        rhythm = tables[table, (part * (LENGTH - 1)).astype(np.intp)]
        if morphology.sharp:
            chosen = (rng.random(cycles) < morphology.sharp)[cycle]
            top = np.clip((part - 0.15) * 2.5 / rate.clip(1), 0, 1) * (LENGTH - 1)
            rhythm += 0.5 * chosen * discharge_tables(rng, morphology)[table, top.astype(np.intp)]
        wave += (1 - mix) * rhythm
    heights = np.exp(morphology.height_spread * rng.standard_normal(cycles))
    heights[rng.random(cycles) < morphology.missing] *= 0.1
    # Rhythms lose no cycle: their waves only vary.
    wave *= mix * heights[cycle] + (1 - mix) * (0.3 + 0.7 * np.maximum(heights, 0.5))[cycle]
    if morphology.fast:
        wave += _riding(rng, morphology, part, n)
    return wave, (morphology.wander * rng.random(cycles))[cycle]


def _discharge_places(
    rng: np.random.Generator,
    morphology: Morphology,
    rate: np.ndarray,
    part: np.ndarray,
    cycle: np.ndarray,
) -> np.ndarray:
    """Where in its table each sample lies, 0 to 1, array of shape (n_times,)."""
    cycles = cycle[-1] + 1
    late = (morphology.jitter * rng.random(cycles))[cycle]
    stretch = np.exp(morphology.stretch_spread * rng.standard_normal(cycles))[cycle]
    # Fast discharges shorten, so that one ends before the next begins.
    shorten = np.maximum(rate / 1.8, 1.0) / np.maximum(rate, 0.3)
    return np.clip((part - late) * shorten / stretch, 0, 1)


def _riding(
    rng: np.random.Generator, morphology: Morphology, part: np.ndarray, n: int
) -> np.ndarray:
    """Fast activity, largest at one phase of the cycle, array of shape (n_times,)."""
    freqs = bin_frequencies(n, 40.0)
    peak = bump(freqs, morphology.fast_hz, 3.5)
    peak /= np.sqrt((peak**2).sum() * freqs[1])
    swell = 0.6 + 0.4 * np.cos(2 * np.pi * (part - rng.random()))
    return morphology.fast * swell * shaped_noise(rng, peak.astype(np.float32), n)


def discharge_tables(rng: np.random.Generator, morphology: Morphology) -> np.ndarray:
    """Discharges over one second, array of shape (8, 512), variants of the patient's phases.

    Peak to trough is 1; they begin and end at 0.
    """
    phases = np.array(morphology.phases)[:, :, None]  # (n_phases, 3, 1)
    vary = morphology.variety
    noise = rng.standard_normal((3, len(phases), TABLES))
    centre = phases[:, 0] + 0.5 * vary * phases[:, 1] * noise[0]
    width = phases[:, 1] * np.exp(0.6 * vary * noise[1])
    height = phases[:, 2] + vary * noise[2] * np.maximum(np.abs(phases[:, 2]), 0.2)
    t = np.linspace(0, 1, LENGTH)
    waves = np.exp(-0.5 * ((t - centre[..., None]) / width[..., None]) ** 2)
    table = (height[..., None] * waves).sum(axis=0)
    table -= np.linspace(table[:, 0], table[:, -1], LENGTH, axis=1)
    return table / np.ptp(table, axis=1, keepdims=True)


def wave_tables(rng: np.random.Generator, morphology: Morphology) -> np.ndarray:
    """One period of rhythmic waves, array of shape (8, 512), peak to trough 1.

    Each begins and ends where it rises through 0, so that waves of other heights join it.
    """
    turn = np.linspace(0, 2 * np.pi, LENGTH)
    shape = rng.normal(0, 0.25, size=(2, TABLES, 1))
    usual = rng.uniform(0, 2 * np.pi, size=2)
    warped = turn + (morphology.skew + 0.3 * morphology.harmonics * shape[0]) * np.sin(turn)
    table = np.sin(warped)
    for order, angle in zip((2, 3), usual, strict=True):
        table = table + morphology.harmonics / (order - 1) * (1 + shape[1]) * (
            np.sin(order * turn + angle) - np.sin(angle)
        )
    table -= np.linspace(table[:, 0], table[:, -1], LENGTH, axis=1)
    return table / np.ptp(table, axis=1, keepdims=True)


def _fields(rng: np.random.Generator, morphology: Morphology) -> np.ndarray:
    """Fields of ``add_pattern``'s sources, array of shape (19, 8).

    The focus, the same moved, its mirror, the spread; of generalized patterns the front of both
    sides, then the back. Each is scaled to 1 in the derivation that shows it best.
    """
    polar, azimuth = morphology.site
    moved = (polar + rng.uniform(-25, 25), azimuth + rng.uniform(-40, 40))
    focal = np.stack([
        _focal(morphology, morphology.site, morphology.side),
        _focal(morphology, moved, morphology.side),
        _focal(morphology, morphology.site, -morphology.side),
        _focal(morphology, morphology.spread_site, morphology.side),
    ], axis=1)  # fmt: skip
    focal /= np.abs(derive(focal)).max(axis=0)
    places = electrode_positions()
    weight = np.exp(morphology.front * places[:, 1])
    general = []
    for ahead in (True, False):
        for side in (morphology.side, -morphology.side):
            here = np.clip(0.5 + 2 * side * places[:, 0], 0, 1)
            share = np.clip(0.5 + 1.5 * places[:, 1], 0, 1)
            general.append(weight * here * (share if ahead else 1 - share))
    wide = lead_field(places, 0.55) @ np.stack(general, axis=1)
    wide /= np.abs(derive(wide.sum(axis=1))).max()
    return np.concatenate([focal, wide], axis=1)


def _focal(morphology: Morphology, site: Position, side: int) -> np.ndarray:
    """Field of a patch of one hemisphere around a site, array of shape (19,)."""
    places = electrode_positions()
    places = places[places[:, 0] > 0.1]
    site_at = unit_vector(np.array(site[0]), np.array(site[1]))
    distance = np.linalg.norm(places - site_at, axis=1)
    involved = np.exp(-((distance / morphology.breadth) ** 2))
    sources = np.concatenate([places, site_at[None]])
    weights = np.append(involved, 0.5)
    if morphology.tangential:
        beside = unit_vector(np.array(site[0] + 10.0), np.array(site[1] + 55.0))
        sources = np.concatenate([sources, beside[None]])
        weights = np.append(weights, -morphology.tangential * weights.sum())
    return lead_field(sources if side > 0 else mirror_position(sources), 0.6) @ weights
