"""The ensemble's members in a few words each."""

from __future__ import annotations

from typing import Any

from ..config import Params, Paths
from ..features.views import build_views
from ..models import build_model


def describe_members(paths: Paths, params: Params) -> list[dict[str, Any]]:
    """One row per member of the recipe, of JSON types.

    Parameters
    ----------
    paths : Paths
    params : Params

    Returns
    -------
    list of dict
        ``member, architecture, views, shapes, weights`` (how many), ``folds`` (how many) and
        ``folds_trained`` (which).

    Raises
    ------
    InputError
        A member's views or options do not fit its architecture.
    """
    views = build_views(params)
    rows = []
    for name, member in params.members.items():
        shapes = [views[view].shape for view in member.views]
        network = build_model(member, shapes, name=name)
        trained = [
            fold
            for fold in range(params.split.n_folds)
            if (paths.fold(name, fold) / "manifest.json").is_file()
        ]
        rows.append(
            {
                "member": name,
                "architecture": member.architecture,
                "views": list(member.views),
                "shapes": [list(shape) for shape in shapes],
                "weights": sum(p.numel() for p in network.parameters()),
                "folds": params.split.n_folds,
                "folds_trained": trained,
            }
        )
    return rows
