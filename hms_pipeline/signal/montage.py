"""Montages of referential EEG, and the left–right mirror of each.

References
----------
Acharya et al., "American Clinical Neurophysiology Society Guideline 3: A proposal for standard
montages to be used in clinical EEG", J Clin Neurophysiol 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..schema import CHAIN_PAIRS, EEG_COLUMNS, ELECTRODES, MIRROR, REGIONS
from ..system.errors import InputError
from .constants import constant

Pair = tuple[str, str]
MIRROR_REGION = {"LL": "RL", "RL": "LL", "LP": "RP", "RP": "LP"}


@constant
def _rows(names: tuple[str, ...]) -> np.ndarray:
    return np.array([EEG_COLUMNS.index(name) for name in names])


def derive(eeg: Tensor, pairs: Sequence[Pair]) -> Tensor:
    """Subtract electrodes.

    Parameters
    ----------
    eeg : Tensor, shape (..., n_chans, n_times)
        Microvolts, channels in the order of ``schema.EEG_COLUMNS`` (the EKG may be absent).
    pairs : sequence of pairs of str
        ``("Fp1", "F7")`` gives Fp1 − F7.

    Returns
    -------
    Tensor, shape (..., len(pairs), n_times)

    Raises
    ------
    InputError
        There are fewer channels than electrodes.
    """
    if eeg.shape[-2] not in (len(ELECTRODES), len(EEG_COLUMNS)):
        raise InputError(
            f"EEG needs {len(ELECTRODES)} electrodes, or {len(EEG_COLUMNS)} channels with the EKG,"
            f" but has {eeg.shape[-2]}. Give them in the order of schema.EEG_COLUMNS."
        )
    anode = _rows(eeg, tuple(a for a, _ in pairs))
    cathode = _rows(eeg, tuple(b for _, b in pairs))
    return eeg.index_select(-2, anode) - eeg.index_select(-2, cathode)


def chains(eeg: Tensor) -> Tensor:
    """Four derivations of each of the four chains: (..., 20, T) → (..., 4, 4, T).

    The first of the new axes is the region, in the order of ``schema.REGIONS``.
    """
    return derive(eeg, CHAIN_PAIRS).unflatten(-2, (len(REGIONS), -1))


def mirror_of(rows: Sequence[str | Pair]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How rows change places when left and right are swapped.

    Parameters
    ----------
    rows : sequence of region names or electrode pairs

    Returns
    -------
    permutation : tuple of int
        Row i of the mirrored picture is row ``permutation[i]`` of the original …
    signs : tuple of int
        … times ``signs[i]`` (−1 where only the opposite difference is there).

    Raises
    ------
    ValueError
        A row's mirror image is not among the rows.

    Examples
    --------
    >>> mirror_of([("Fp1", "F7"), ("Fp2", "F8"), ("Fz", "Cz")])
    ((1, 0, 2), (1, 1, 1))
    """
    found = [_find(list(rows), _image(row)) for row in rows]
    return tuple(row for row, _ in found), tuple(sign for _, sign in found)


def _image(row: str | Pair) -> str | Pair:
    return MIRROR_REGION[row] if isinstance(row, str) else (MIRROR[row[0]], MIRROR[row[1]])


def _find(rows: list[str | Pair], image: str | Pair) -> tuple[int, int]:
    if image in rows:
        return rows.index(image), 1
    if not isinstance(image, str) and image[::-1] in rows:
        return rows.index(image[::-1]), -1
    raise ValueError(f"Rows need {image}, the mirror image of one of them. Add it to {rows}.")
