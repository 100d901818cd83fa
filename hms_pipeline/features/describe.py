"""The views in a few words each: what they are, where they are used, what lies on disk."""

from __future__ import annotations

from typing import Any

from ..config import Params, Paths
from ..system.errors import InputError
from .store import MANIFEST, read_manifest
from .views import build_views


def describe_views(paths: Paths, params: Params) -> list[dict[str, Any]]:
    """One row per view of the recipe, of JSON types.

    Parameters
    ----------
    paths : Paths
    params : Params

    Returns
    -------
    list of dict
        ``view, is`` (its meaning), ``shape, inputs, parameters, read_by`` (members), and of its
        store ``state`` (stored, absent or damaged), ``bytes``, ``code``, ``data`` (hashes).

    Raises
    ------
    InputError
        A view's parameters are not its function's.
    """
    return [
        {
            "view": name,
            "is": view.view.summary,
            "shape": list(view.shape),
            "inputs": sorted(view.inputs),
            "parameters": dict(view.params),
            "read_by": [m for m, member in params.members.items() if name in member.views],
            **_stored(paths, name),
        }
        for name, view in build_views(params).items()
    ]


def _stored(paths: Paths, name: str) -> dict[str, Any]:
    folder = paths.view(name)
    if not (folder / MANIFEST).is_file():
        return {"state": "absent", "bytes": 0, "code": None, "data": None}
    try:
        manifest = read_manifest(folder)
    except InputError:
        return {"state": "damaged", "bytes": 0, "code": None, "data": None}
    size = sum(path.stat().st_size for path in folder.glob("shard-*.npy"))
    return {"state": "stored", "bytes": size, "code": manifest["code"], "data": manifest["data"]}
