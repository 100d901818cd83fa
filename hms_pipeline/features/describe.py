"""The views in a few words each: what they are, where they are used, what lies on disk."""

from __future__ import annotations

import json
from typing import Any

from ..config import Params, Paths
from ..system.errors import InputError
from .store import MANIFEST, read_manifest
from .views import build_views


def describe_views(paths: Paths, params: Params) -> list[dict[str, Any]]:
    """One row per view of the recipe: meaning, shape, inputs, parameters, members, store.

    Parameters
    ----------
    paths : Paths
    params : Params

    Raises
    ------
    InputError
        A view's parameters are not its function's.
    """
    return [
        {
            "view": name,
            "is": view.view.summary,
            "shape": "×".join(map(str, view.shape)),
            "inputs": ", ".join(view.inputs),
            "parameters": json.dumps(view.params),
            "read by": ", ".join(m for m, member in params.members.items() if name in member.views)
            or "no member",
            "store": _stored(paths, name),
        }
        for name, view in build_views(params).items()
    ]


def _stored(paths: Paths, name: str) -> str:
    folder = paths.view(name)
    if not (folder / MANIFEST).is_file():
        return "absent"
    try:
        manifest = read_manifest(folder)
    except InputError:
        return "damaged"
    size = sum(path.stat().st_size for path in folder.glob("shard-*.npy"))
    return f"{size / 2**20:.1f} MiB, code {manifest['code'][:8]}, data {manifest['data'][:8]}"
