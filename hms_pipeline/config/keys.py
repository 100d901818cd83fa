"""The key of the code behind a stage, compared with the key that DVC was given."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import yaml

from ..code_keys import code_keys, read_code
from ..code_keys.closure import Code
from ..code_keys.roots import Keys
from ..system.errors import StaleError
from ..system.files import write_text
from .params import Params
from .paths import Paths


def code_key(paths: Paths, params: Params, stage: str, item: str | None = None) -> str:
    """Hash of the code that a stage's work depends on.

    Parameters
    ----------
    paths : Paths
    params : Params
    stage : str
        ``validate``, ``split``, ``views``, ``train``, ``ensemble``, ``student`` or ``register``.
    item : str, optional
        The view or member, where the stage has several.

    Raises
    ------
    StaleError
        ``keys.yaml`` states another one: the code was edited after ``hms keys`` ran.
    """
    name = stage if item is None else f"{stage}.{item}"
    key = _keys(_recipe(params)).closure(name).digest
    stated = _of(_stated(paths), stage, item)
    if stated not in (None, key):
        raise StaleError(
            f"{paths.keys} has another key of {name} than the code has now: it was edited since."
            " Run dvc repro, or hms keys first."
        )
    return key


def present_keys(params: Params) -> dict[str, Any]:
    """All keys of the code as it is now; its files are read once a process."""
    keys = _keys(_recipe(params))
    return code_keys(keys.recipe, code=keys.code)


def keys_stand(paths: Paths, params: Params) -> bool:
    """Whether ``keys.yaml`` states the keys of the code as its files are now."""
    _keys.cache_clear()
    _code.cache_clear()
    return present_keys(params) == _stated(paths)


def write_keys(paths: Paths, keys: dict[str, Any]) -> None:
    """Write ``keys.yaml``, which DVC reads as parameters of the stages."""
    write_text(paths.keys, yaml.safe_dump(keys))


@lru_cache(maxsize=4)
def _keys(recipe: str) -> Keys:
    return Keys(json.loads(recipe), code=_code())


def _recipe(params: Params) -> str:
    return json.dumps(params.model_dump(mode="json"), sort_keys=True)


@lru_cache(maxsize=1)
def _code() -> Code:
    return read_code()


def _stated(paths: Paths) -> dict[str, Any]:
    try:
        stated = yaml.safe_load(paths.keys.read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError, UnicodeDecodeError):
        return {}  # DVC was given no keys yet, or `hms keys` will write the file again
    return stated if isinstance(stated, dict) else {}


def _of(keys: dict[str, Any], stage: str, item: str | None) -> str | None:
    found = keys.get(stage)
    return found if item is None else (found or {}).get(item)
