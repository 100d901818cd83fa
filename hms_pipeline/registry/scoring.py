"""Scoring with a registered version, by the very code it was registered with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from ..config import Paths, load_params
from ..config.scoring import ScoringParams
from ..data.window import Window
from ..inference.bundle import carries_this_code, check_bundle
from ..inference.predictor import Predictor
from ..system.errors import InputError
from .api import bundle_of
from .package import load_code, refusals_of


def open_predictor(
    paths: Paths, version: int | str | None = None, *, device: str = "auto"
) -> tuple[int, Predictor | CarriedPredictor]:
    """A version's number and its ensemble, verified and ready to score.

    Where this package's scoring code has changed since, the version's own is used.

    Parameters
    ----------
    paths : Paths
    version : int or str, optional
        A number or a model URI; the champion where none is given.
    device : str

    Raises
    ------
    InputError
        No such version, or it does not verify.
    """
    number, bundle = bundle_of(paths, version)
    return number, _open(bundle, device)


def open_bundle(bundle: Path, *, device: str = "auto") -> Predictor | CarriedPredictor:
    """The ensemble of a bundle's folder, verified and ready to score; see ``open_predictor``.

    Nothing of the folder is used, its code least of all, before its checksums agree.

    Raises
    ------
    InputError
        It is no bundle, or does not verify.
    """
    if not (bundle / "bundle.json").is_file():
        raise InputError(
            f"A bundle's folder needs a bundle.json, but {bundle} has none. Give the folder that"
            " hms register wrote, or a version's number."
        )
    check_bundle(bundle)
    return _open(bundle, device)


def _open(bundle: Path, device: str) -> Predictor | CarriedPredictor:
    if not (bundle / "code").is_dir() or carries_this_code(bundle):
        return Predictor.open(bundle, device=device)
    return CarriedPredictor(load_code(bundle), bundle, device)


def scoring_settings(paths: Paths, own: ScoringParams) -> tuple[ScoringParams, tuple[str, ...]]:
    """Settings to score with: the active recipe's, but for those that belong to a version.

    Parameters
    ----------
    paths : Paths
        Where the active recipe lies; without one all are the version's.
    own : ScoringParams
        What the version was registered with.

    Returns
    -------
    settings : ScoringParams
    ignored : tuple of str
        Settings that the recipe states otherwise than the version, and that do not count.

    Raises
    ------
    InputError
        The recipe is damaged.
    """
    if not paths.params.exists():
        return own, ()
    recipe = load_params(paths.params).scoring
    # An older version has fewer settings.
    kept = [key for key in ScoringParams.VERSIONED if hasattr(own, key)]
    versions = {key: getattr(own, key) for key in kept}
    ignored = tuple(key for key, value in versions.items() if getattr(recipe, key) != value)
    return recipe.model_copy(update=versions), ignored


class CarriedPredictor:
    """A Predictor of other code than this package's; refusals come as this package's.

    Parameters
    ----------
    code : module
        From ``load_code``.
    bundle : Path
    device : str
    """

    def __init__(self, code: ModuleType, bundle: Path, device: str) -> None:
        self._code = code
        self._one_at_once = Lock()  # older code captures graphs for a process that does no more
        with refusals_of(code):
            self._predictor = code.inference.predictor.Predictor.open(bundle, device=device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict(self, windows: Sequence[Window], *, batch_size: int | None = None) -> Any:
        """As ``Predictor.predict``."""
        with self._one_at_once, refusals_of(self._code):
            return self._predictor.predict(windows, batch_size=batch_size)
