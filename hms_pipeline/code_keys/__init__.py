"""The exact code that a piece of work depends on, as one hash.

A definition counts where it is used, as a syntax tree without docstrings and comments. Nothing
is imported to find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .closure import Closure, Code
from .roots import PACKAGE, Keys
from .source import Package

__all__ = ["Closure", "closure", "code_keys", "explain", "read_code"]


def code_keys(
    recipe: Mapping[str, Any], package: Path = PACKAGE, code: Code | None = None
) -> dict[str, Any]:
    """The key of every piece of work.

    Parameters
    ----------
    recipe : mapping
        params.yaml as plain values: ``views``, ``members.<m>.architecture`` and ``.views``,
        ``training.augmentation``, and the same of ``student`` are read.
    package : Path
        The package's folder.
    code : Code, optional
        The package as it was read for another recipe.

    Returns
    -------
    dict
        ``validate``, ``split``, ``views``: {view: key}, ``train``: {member: key}, ``ensemble``,
        ``student``, ``register``; ``rows``: {view: key} of what decides a stored value,
        ``distil`` of a student's weights, ``version``: {registered model: key} of what a version
        answers with. SHA-256, hex.

    Raises
    ------
    InputError
        The recipe names what is not there, or an import cannot be followed.
    """
    keys = Keys(recipe, package, code)
    found: dict[str, Any] = {}
    for work, roots in keys.roots().items():
        stage, dot, name = work.partition(".")
        digest = keys.code.closure(roots).digest
        if dot:
            found.setdefault(stage, {})[name] = digest
        else:
            found[stage] = digest
    return found


def explain(recipe: Mapping[str, Any], work: str, package: Path = PACKAGE) -> tuple[str, ...]:
    """What a key covers, such as that of ``"train.eegnet"``: sorted ``"module:Definition"``."""
    return Keys(recipe, package).closure(work).names


def closure(roots: Iterable[str], package: Path = PACKAGE) -> Closure:
    """What definitions (``"module:Definition"``, or ``"module"``) depend on."""
    return read_code(package).closure(roots)


def read_code(package: Path = PACKAGE) -> Code:
    """The code of a package, for the keys of several recipes."""
    return Code(Package(package))
