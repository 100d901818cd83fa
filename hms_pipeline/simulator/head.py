"""A spherical head: where the 19 electrodes sit and how a cortical source reaches them."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..schema import DOUBLE_BANANA, ELECTRODES

BLOCK = 4096  # samples that are projected at once: they stay in a core's cache

# 10-20 positions: polar angle from the vertex (Cz) and azimuth from the right ear towards the
# nose, in degrees; the ring Fp1-F7-T3-T5-O1 lies at 90, the inner ring at 45 and beyond.
POLAR = {
    "Cz": (0, 0), "Fz": (45, 90), "Pz": (45, 270), "C4": (45, 0), "C3": (45, 180),
    "T4": (90, 0), "F8": (90, 36), "Fp2": (90, 72), "Fp1": (90, 108), "F7": (90, 144),
    "T3": (90, 180), "T5": (90, 216), "O1": (90, 252), "O2": (90, 288), "T6": (90, 324),
    "F4": (60, 51), "F3": (60, 129), "P3": (60, 231), "P4": (60, 309),
}  # fmt: skip


def unit_vector(polar_deg: np.ndarray, azimuth_deg: np.ndarray) -> np.ndarray:
    """Direction on the unit sphere: x to the right ear, y to the nose, z to the vertex."""
    polar, azimuth = np.deg2rad(polar_deg), np.deg2rad(azimuth_deg)
    return np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1
    )


@cache
def electrode_positions() -> np.ndarray:
    """Electrodes' directions in schema order, array of shape (19, 3)."""
    polar = np.array([POLAR[name] for name in ELECTRODES], float)
    return unit_vector(polar[:, 0], polar[:, 1])


def mirror_position(position: np.ndarray) -> np.ndarray:
    """The same place on the other hemisphere."""
    return np.asarray(position) * np.array([-1.0, 1.0, 1.0])


def lead_field(positions: np.ndarray, depth: float | np.ndarray = 0.6) -> np.ndarray:
    """Surface potential of radial dipoles in a homogeneous sphere, scaled to a peak of 1.

    ``V(g) = ((1 - b^2) / (1 + b^2 - 2 b cos g)^1.5 - 1) / b`` at the angle g from a dipole of
    eccentricity b. A shallow b (0.5-0.7) stands in for the skull's smearing and for sources
    that are patches of cortex.

    Parameters
    ----------
    positions : array, shape (n_sources, 3)
        Directions of the sources.
    depth : float or array, shape (n_sources,)
        Eccentricity b in (0, 1); smaller reaches wider.

    Returns
    -------
    array, shape (19, n_sources)

    References
    ----------
    Frank, "Electric potential produced by two point current sources in a homogeneous
    conducting sphere", J Appl Phys 1952.
    Nunez and Srinivasan, "Electric Fields of the Brain", 2006, ch. 6.
    """
    b = np.broadcast_to(np.asarray(depth, float), (len(positions),))
    cosine = electrode_positions() @ np.asarray(positions).T

    def potential(cos_angle: np.ndarray | float) -> np.ndarray:
        return ((1 - b**2) / (1 + b**2 - 2 * b * cos_angle) ** 1.5 - 1) / b

    return potential(cosine) / potential(1.0)


def derive(potential: np.ndarray) -> np.ndarray:
    """Derivations of the double banana, array of shape (18, n), from electrodes (19, n)."""
    return np.stack([
        potential[ELECTRODES.index(first)] - potential[ELECTRODES.index(second)]
        for first, second in DOUBLE_BANANA
    ])  # fmt: skip


def project(potential: np.ndarray, field: np.ndarray, sources: np.ndarray) -> None:
    """Add ``field @ sources`` to a potential, block by block, so that no copy of it is made.

    Parameters
    ----------
    potential : array, shape (19, n_times)
        Changed in place.
    field : array, shape (19, n_sources)
    sources : array, shape (n_sources, n_times)
    """
    for start in range(0, potential.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        potential[:, part] += field @ sources[:, part]
