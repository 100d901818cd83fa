"""The exact code that a piece of work depends on, as one hash.

A definition counts where it is used, as a syntax tree without docstrings and comments. Nothing
is imported to find it, and only Python's standard library is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .roots import PACKAGE, Keys

__all__ = ["code_keys", "explain"]


def code_keys(recipe: Mapping[str, Any], package: Path = PACKAGE) -> dict[str, Any]:
    """The key of every piece of work.

    Parameters
    ----------
    recipe : mapping
        params.yaml as plain values: ``views``, ``members.<m>.architecture`` and ``.views``,
        ``training.augmentation`` are read.
    package : Path
        The package's folder.

    Returns
    -------
    dict
        ``validate``, ``split``, ``views``: {view: key}, ``rows``: {view: key}, ``train``:
        {member: key}, ``ensemble``, ``register``, ``version``; SHA-256, hex.

    Raises
    ------
    InputError
        The recipe names what is not there, or an import cannot be followed.
    """
    keys = Keys(recipe, package)
    found: dict[str, Any] = {}
    for work, roots in keys.roots().items():
        stage, _, name = work.partition(".")
        digest = keys.code.closure(roots).digest
        if name:
            found.setdefault(stage, {})[name] = digest
        else:
            found[stage] = digest
    return found


def explain(recipe: Mapping[str, Any], work: str, package: Path = PACKAGE) -> tuple[str, ...]:
    """What a key covers: sorted names ``"module:Definition"``."""
    return Keys(recipe, package).closure(work).names
