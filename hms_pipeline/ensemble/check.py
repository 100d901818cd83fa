"""Compute the ensemble again from the members' predictions, and compare the stage's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..config import Params, Paths
from ..system.errors import InputError
from ..system.files import read_sealed, read_table
from .stage import METRICS, TABLE, WEIGHTS, Made, compute

ATOL = 1e-4  # largest difference that two processors may give


def check_ensemble(paths: Paths, params: Params) -> Made:
    """Compute the ensemble again and compare the stage's files with it.

    Returns
    -------
    Made
        What was computed here, not what was read.

    Raises
    ------
    InputError
        A file is missing or damaged, or says something else than the members' predictions give;
        it is named.
    """
    made = compute(paths, params)
    hold(paths, made)
    return made


def hold(paths: Paths, made: Made) -> None:
    """Compare a stage's files with what was computed again; see ``check_ensemble``."""
    for name, needed in ((WEIGHTS, made.weights), (METRICS, made.metrics)):
        if not agree(read_sealed(paths.ensemble / name, "hms ensemble"), needed):
            raise differs(paths.ensemble / name)
    check_table(paths.ensemble / TABLE, made)


def check_table(path: Path, made: Made) -> None:
    """Compare a table of nested predictions with those that were computed again.

    Raises
    ------
    InputError
        It differs.
    """
    found, names = read_table(path), list(made.table)
    if not set(names) <= set(found) or len(found) != len(made.table):
        raise differs(path)
    found = found.sort_values("label_id")[names]
    if not np.allclose(found.to_numpy(float), made.table.to_numpy(float), rtol=0, atol=ATOL):
        raise differs(path)


def differs(path: Path) -> InputError:
    """A file is not what the members' predictions give."""
    return InputError(
        f"{path} must be what the members' out-of-fold predictions give, but differs from it. Run"
        " hms ensemble again."
    )


def agree(found: Any, needed: Any) -> bool:
    """Whether JSON says the same; sentences and the last digits of numbers may differ.

    Examples
    --------
    >>> agree({"kl": 0.50001, "kind": "equal"}, {"kl": 0.5, "kind": "equal"})
    True
    >>> agree({"kl": 0.4}, {"kl": 0.5})
    False
    """
    if type(found) is not type(needed):
        return False
    if isinstance(needed, dict):
        same = found.keys() == needed.keys()
        return same and all(agree(found[key], needed[key]) for key in needed if key != "reason")
    if isinstance(needed, list):
        return len(found) == len(needed) and all(map(agree, found, needed))
    return abs(found - needed) <= ATOL if isinstance(needed, float) else found == needed
