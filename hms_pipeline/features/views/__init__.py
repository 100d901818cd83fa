"""The catalogue of views: one decorated function a file, found when this room is imported."""

from __future__ import annotations

from collections.abc import Iterable

from ...catalogue import discover
from ...config import Params
from ...system.errors import InputError
from ..view import VIEWS, BuiltView, View

discover(__name__, list(__path__))


def build_views(params: Params, names: Iterable[str] | None = None) -> dict[str, BuiltView]:
    """Build views with a recipe's parameters.

    Parameters
    ----------
    params : Params
    names : iterable of str or None
        None builds every view of the recipe.

    Returns
    -------
    dict of str to BuiltView

    Raises
    ------
    InputError
        A view is unknown, is not in the recipe, or its parameters are wrong.
    """
    return {name: build_view(params, name) for name in (params.views if names is None else names)}


def build_view(params: Params, name: str) -> BuiltView:
    """Build one view; see ``build_views``."""
    definition: View = VIEWS[name]
    if name not in params.views:
        raise InputError(
            f"View {name!r} needs its parameters in section views, which has"
            f" {sorted(params.views)}. Add it to the recipe."
        )
    return definition.build(params.views[name])
