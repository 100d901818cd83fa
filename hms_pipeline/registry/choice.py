"""What ``--model`` names: a registered model's version, a bundle's folder, or the starter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Paths
from ..config.members import STARTER, STARTER_FOLDER
from ..config.paths import MODELS
from ..system.errors import InputError
from ..tracking.store import has_store
from .versions import Registry

CHAMPION, STUDENT = "champion", "student"
STARTER_NOTE = (
    "The starter answers: one network that comes with the package, trained on simulated EEG alone."
    " It is no version of this project's and stands in no ledger. Research use only."
)


@dataclass(frozen=True)
class Choice:
    """Which model answers.

    Parameters
    ----------
    name : str
        ``hms-ensemble``, ``hms-student`` or ``starter``.
    paths : Paths
        Of the registered model.
    version : str or None
        A number or a model URI; None: the champion.
    folder : Path or None
        A bundle's, instead of a version.
    note : str or None
        What has to be said of its answers.
    """

    name: str
    paths: Paths
    version: str | None = None
    folder: Any = None  # a Path where the model is a bundle, else None
    note: str | None = None


def choose(paths: Paths, model: str | None) -> Choice:
    """Read ``--model``.

    Parameters
    ----------
    paths : Paths
    model : str or None
        ``champion``, ``student``, ``student@N``, ``starter``, a number, a model URI or a bundle's
        folder. None: the champion, or the starter where nothing was ever registered.

    Raises
    ------
    InputError
        It is none of these.
    """
    if model == STARTER or (model is None and is_untouched(paths)):
        return Choice(STARTER, paths, folder=STARTER_FOLDER, note=STARTER_NOTE)
    if model in (None, CHAMPION):
        return Choice(paths.model, paths)
    name, _, version = model.partition("@")
    if name == STUDENT:
        return Choice(MODELS[1], paths.student, version or None)
    if Path(model).is_dir():
        return Choice("a bundle's folder", paths, folder=Path(model))
    if model.startswith(f"models:/{MODELS[1]}"):
        return Choice(MODELS[1], paths.student, model)
    if model.startswith("models:") or model.isdecimal():
        return Choice(paths.model, paths, model)
    raise InputError(
        f"--model needs champion, student, student@VERSION, {STARTER}, a version's number,"
        f" models:/NAME@ALIAS or a bundle's folder, got {model!r}."
    )


def is_untouched(paths: Paths) -> bool:
    """Whether a project has neither a registered version nor an entry in its ledger.

    If the store does not answer, this raises, so that a damaged store never seems an empty one.
    """
    if not has_store(paths):
        return not paths.ledger.exists()
    registry = Registry.open(paths)
    return not registry.ledger.read() and not registry.versions()
