"""Recorded channels → the 19 electrodes' potentials, as one matrix.

Every channel is an edge of a graph: the potential of one site over that of another, or over a
reference. Least squares gives the sites' potentials whose differences equal the channels. What no
path connects has no common zero: there each connected part has its own (its reference, or the mean
of its sites), which is enough where the montage takes differences only inside parts.

References
----------
Perrin et al., "Spherical splines for scalp potential and current density mapping",
Electroencephalogr Clin Neurophysiol 1989 (interpolation of missing electrodes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import eval_legendre

from ..schema import DIFFERENTIAL, DOUBLE_BANANA, EKG, ELECTRODES, MIDLINE
from ..system.errors import InputError
from .clinical_names import Channel

Found = tuple[str, str]  # a file's name, and what else was found in it
_MOST_NAMED = 20
SPLINE_STIFFNESS, SPLINE_TERMS = 4, 50
PAIRS = (*DOUBLE_BANANA, *DIFFERENTIAL)  # what every view reads of the potentials

# Inclination from the vertex (negative: left) and azimuth in degrees, idealised 10-20 sphere.
_ANGLES = {
    "Fp1": (-92, -72), "F7": (-92, -36), "T3": (-92, 0), "T5": (-92, 36), "O1": (-92, 72),
    "Fp2": (92, 72), "F8": (92, 36), "T4": (92, 0), "T6": (92, -36), "O2": (92, -72),
    "F3": (-60, -51), "C3": (-46, 0), "P3": (-60, 51), "F4": (60, 51), "C4": (46, 0),
    "P4": (60, -51), "Fz": (46, 90), "Cz": (0, 0), "Pz": (46, -90),
}  # fmt: skip


@dataclass(frozen=True)
class Reconstruction:
    """How to compute electrodes from channels.

    Parameters
    ----------
    matrix : ndarray, shape (20, n_channels)
        Potentials = matrix @ channels, rows in the order of ``schema.EEG_COLUMNS``; a row of NaN
        where nothing was recorded (EKG).
    residual : ndarray, shape (n_channels, n_channels)
        Channels minus what the potentials give back; zero without loops.
    interpolated : tuple of str
        Electrodes taken from their neighbours.
    bipolar_only : bool
        Whether no channel was recorded against a reference.
    warnings : tuple of str
        What the user should know.
    """

    matrix: np.ndarray
    residual: np.ndarray
    interpolated: tuple[str, ...]
    bipolar_only: bool
    warnings: tuple[str, ...]


def reconstruct(
    channels: Sequence[Channel],
    name: str,
    max_interpolated: int = 3,
    left_out: Sequence[tuple[str, str]] = (),
    others: Sequence[str] = (),
) -> Reconstruction:
    """Find the electrodes' potentials behind the channels.

    Parameters
    ----------
    channels : sequence of Channel
        Scalp and EKG channels of one file.
    name : str
        The file's name, for the error sentence.
    max_interpolated : int
        Electrodes that may be missing; they are interpolated by spherical splines.
    left_out : sequence of (str, str)
        Labels of channels that are not used and why, for the error sentence.
    others : sequence of str
        Labels that name no electrode, likewise.

    Raises
    ------
    InputError
        The double banana cannot be formed.
    """
    scalp = [c for c in channels if c.plus != EKG]
    nodes = sorted({c.plus for c in scalp} | {c.minus for c in scalp})
    parts = _parts(nodes, [(c.plus, c.minus) for c in scalp])
    potentials, edges = _potentials(nodes, scalp, parts)
    matrix = np.zeros((len(ELECTRODES) + 1, len(channels)))
    columns = [i for i, c in enumerate(channels) if c.plus != EKG]
    present = [name for name in ELECTRODES if name in nodes]
    for row, site in enumerate(ELECTRODES):
        if site in nodes:
            matrix[row, columns] = potentials[nodes.index(site)]
    missing = _check(present, parts, _found(name, left_out, others), max_interpolated)
    filled = _fill(matrix, missing, present, one_zero=len({parts[s] for s in present}) == 1)
    matrix[-1] = _heart_row(channels)
    residual = np.zeros((len(channels), len(channels)))
    residual[np.ix_(columns, columns)] = np.eye(len(scalp)) - edges @ potentials
    bipolar_only = bool(scalp) and all(c.is_derivation for c in scalp)
    return Reconstruction(
        matrix,
        residual,
        tuple(filled),
        bipolar_only,
        _warnings(channels, filled, [s for s in missing if s not in filled], bipolar_only),
    )


def by_reason(left_out: Sequence[tuple[str, str]]) -> list[str]:
    """Labels of one reason together.

    Examples
    --------
    >>> by_reason([("Fp1", "flat"), ("O2", "flat")])
    ["['Fp1', 'O2'] (flat)"]
    """
    labels: dict[str, list[str]] = {}
    for label, reason in left_out:
        labels.setdefault(reason, []).append(label)
    return [f"{found[:_MOST_NAMED]} ({reason})" for reason, found in labels.items()]


def spline_weights(missing: Sequence[str], present: Sequence[str]) -> dict[str, np.ndarray]:
    """Weights that interpolate missing electrodes from present ones.

    Parameters
    ----------
    missing, present : sequence of str
        Electrodes of ``schema.ELECTRODES``.

    Returns
    -------
    dict of str to ndarray, shape (19,)
        Each row of weights sums to 1, so that a common reference stays what it is.
    """
    known, wanted = (np.array([position(s) for s in sites]) for sites in (present, missing))
    n = len(present)
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = _spline(known @ known.T) + 1e-5 * np.eye(n)
    system[n, n] = 0.0
    inverse = np.linalg.pinv(system)[:, :n]
    values = _spline(wanted @ known.T) @ inverse[:n] + inverse[n]
    weights = np.zeros((len(missing), len(ELECTRODES)))
    weights[:, [ELECTRODES.index(site) for site in present]] = values
    return dict(zip(missing, weights, strict=True))


def position(site: str) -> np.ndarray:
    """Where an electrode lies on the unit sphere: right, front, up."""
    inclination, azimuth = np.deg2rad(_ANGLES[site])
    return np.array([
        np.sin(inclination) * np.cos(azimuth),
        np.sin(inclination) * np.sin(azimuth),
        np.cos(inclination),
    ])  # fmt: skip


def _spline(cosine: np.ndarray) -> np.ndarray:
    n = np.arange(1, SPLINE_TERMS + 1)
    factors = (2 * n + 1) / (n * (n + 1.0)) ** SPLINE_STIFFNESS
    legendre = np.stack([eval_legendre(k, np.clip(cosine, -1, 1)) for k in n])
    return np.tensordot(factors, legendre, axes=1) / (4 * np.pi)


def _parts(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    part = {node: i for i, node in enumerate(nodes)}
    for a, b in edges:
        old, new = part[a], part[b]
        part = {node: new if p == old else p for node, p in part.items()}
    return part


def _potentials(
    nodes: Sequence[str], scalp: Sequence[Channel], parts: dict[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    edges = np.zeros((len(scalp), len(nodes)))
    for row, c in enumerate(scalp):
        edges[row, nodes.index(c.plus)] += 1
        edges[row, nodes.index(c.minus)] -= 1
    # One row per part sets its zero: its most used reference, or the mean of its sites.
    uses = Counter(c.minus for c in scalp if not c.is_derivation)
    zeros = np.zeros((len(set(parts.values())), len(nodes)))
    for row, part in enumerate(sorted(set(parts.values()))):
        members = [node for node in nodes if parts[node] == part]
        references = [node for node in members if node in uses]
        ground = [max(references, key=lambda node: uses[node])] if references else members
        zeros[row, [nodes.index(node) for node in ground]] = 1
    solution = np.linalg.pinv(np.vstack([edges, zeros])) if nodes else np.zeros((0, 0))
    solution = np.round(solution, 12)  # one channel each gives exactly one
    return solution[:, : len(scalp)], edges


def _found(name: str, left_out: Sequence[tuple[str, str]], others: Sequence[str]) -> Found:
    said = [f"left out {text}" for text in by_reason(left_out)]
    if others:
        said.append(f"other labels are {list(others[:_MOST_NAMED])}")
    return name, f" ({'; '.join(said)})" if said else ""


def _check(present: list[str], parts: dict[str, int], found: Found, most: int) -> list[str]:
    name, said = found
    missing = [site for site in ELECTRODES if site not in present]
    if len(missing) > most:
        advice = (
            "Map them with --rename, or leave midline members out."
            if set(missing) <= set(MIDLINE)
            else "Map them with --rename."
        )
        raise InputError(
            f"Montage needs electrodes {missing}, but {name} has {present}{said}. {advice}"
        )
    apart = [
        f"{a}-{b}"
        for a, b in dict.fromkeys(PAIRS)
        if a in parts and b in parts and parts[a] != parts[b]
    ]
    if apart or (set(missing) - set(MIDLINE) and len({parts[site] for site in present}) > 1):
        raise InputError(
            f"Montage needs the derivations {apart}, but the channels of {name} do not connect"
            f" their electrodes{said}. Export the recording with a common reference or the double"
            " banana."
        )
    return missing


def _fill(matrix: np.ndarray, missing: list[str], present: list[str], one_zero: bool) -> list[str]:
    # Interpolation mixes electrodes, which needs one zero for all of them. Without it the
    # midline stays empty: no chain needs it.
    rows = [ELECTRODES.index(site) for site in missing]
    if one_zero and missing:
        weights = spline_weights(missing, present)
        matrix[rows] = [weights[site] @ matrix[: len(ELECTRODES)] for site in missing]
        return missing
    matrix[rows] = np.nan
    return []


def _heart_row(channels: Sequence[Channel]) -> np.ndarray:
    leads = [i for i, c in enumerate(channels) if c.plus == EKG]
    row = np.zeros(len(channels))
    if not leads:
        return np.full(len(channels), np.nan)
    row[leads[0]] = 1
    if {channels[i].minus for i in leads} in ({"L", "R"}, {"1", "2"}, {"LA", "RA"}):
        row[leads[1]] = -1  # two leads of one heart, each against the reference
    return row


def _warnings(
    channels: Sequence[Channel], filled: list[str], empty: list[str], bipolar_only: bool
) -> tuple[str, ...]:
    found = []
    if filled:
        found.append(f"Electrodes {filled} are interpolated from the others.")
    if empty:
        found.append(f"Electrodes {empty} are missing; their derivations stay empty.")
    if bipolar_only:
        found.append("Only bipolar derivations; potentials were reconstructed along the chains.")
    scalp = [c for c in channels if c.plus != EKG]
    pairs = Counter(frozenset((c.plus, c.minus)) for c in scalp)
    twice = sorted("-".join(sorted(pair)) for pair, count in pairs.items() if count > 1)
    if twice:
        found.append(f"{twice} occur more than once; their mean is used.")
    references = sorted({c.minus for c in scalp if not c.is_derivation})
    if len(references) > 1:
        found.append(f"Several references {references}; only differences within each are used.")
    if len(scalp) == len(channels):
        found.append("No EKG channel.")
    return tuple(found)
