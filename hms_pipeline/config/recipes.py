"""Recipes: a base, what each recipe changes of it, and the whole params.yaml made from both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..system.errors import InputError
from ..system.files import atomic
from .params import Params, parse_params, read_yaml

BASE = "base"


def compose(folder: Path, name: str) -> Params:
    """A recipe of ``folder``: ``base.yaml`` with the changes of ``<name>.yaml``.

    Raises
    ------
    InputError
        There is no such recipe, or the result is not valid.
    """
    known = recipe_names(folder)
    if not known:
        raise InputError(f"Recipes are needed, but {folder} has none. Run in the project's root.")
    if name not in known:
        raise InputError(f"Unknown recipe {name!r}. Choose one of {known}.")
    base = read_yaml(folder / f"{BASE}.yaml")
    return parse_params(merge_patch(base, read_yaml(folder / f"{name}.yaml")), f"{name}.yaml")


def recipe_names(folder: Path) -> list[str]:
    """What may be given to ``compose``."""
    return sorted(path.stem for path in folder.glob("*.yaml") if path.stem != BASE)


def merge_patch(target: Any, patch: Any) -> Any:
    """``target`` with a JSON merge patch applied; neither is changed.

    References
    ----------
    RFC 7396, "JSON Merge Patch", 2014.

    Examples
    --------
    >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": None}})
    {'a': 1, 'b': {'c': 4}}
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), change)
    return result


def write_recipe(path: Path, params: Params) -> None:
    """Write a whole recipe, defaults included, spelled as DVC spells it.

    ``dvc exp run -S`` reads params.yaml and writes it with ruamel.yaml; from this file it changes
    the one line whose value it sets.
    """
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(params.model_dump(mode="json"), stream)
