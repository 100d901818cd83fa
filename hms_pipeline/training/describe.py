"""The ensemble's members in a few words each."""

from __future__ import annotations

from typing import Any

from ..config import Params, Paths
from ..features.views import build_views
from ..models import build_model


def describe_members(paths: Paths, params: Params) -> list[dict[str, Any]]:
    """One row per member of the recipe: architecture, inputs, size, folds trained.

    Parameters
    ----------
    paths : Paths
    params : Params

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
            str(fold)
            for fold in range(params.split.n_folds)
            if (paths.fold(name, fold) / "manifest.json").is_file()
        ]
        rows.append(
            {
                "member": name,
                "architecture": member.architecture,
                "input": ", ".join(
                    f"{view} {'×'.join(map(str, shape))}"
                    for view, shape in zip(member.views, shapes, strict=True)
                ),
                "weights": sum(p.numel() for p in network.parameters()),
                "folds trained": f"{len(trained)} of {params.split.n_folds}",
            }
        )
    return rows
