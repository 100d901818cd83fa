"""Options that a recipe gives to a function of ours: its keyword-only arguments, by their types."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ValidationError, create_model

from ..system.errors import InputError
from .section import Section, explain


def options_of(function: Callable[..., Any]) -> type[Section]:
    """The keyword-only arguments of a function as a section of a recipe.

    Their annotations (pydantic's ``Field`` in ``Annotated`` for ranges) are what values are
    checked against.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        key: (hints[key], ... if p.default is p.empty else p.default)
        for key, p in inspect.signature(function).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    return create_model(f"{function.__name__}_options", __base__=Section, **fields)


def checked(options: type[Section], values: Mapping[str, Any], where: str) -> Section:
    """Values as options.

    Raises
    ------
    InputError
        One is unknown, missing, of a wrong type or out of range: one sentence with the path of
        its key, which begins with ``where``.
    """
    try:
        return options.model_validate_json(json.dumps(dict(values), default=str))
    except ValidationError as err:
        raise InputError(f"Recipe: {explain(err, where, list(options.model_fields))}.") from None
