"""The frozen, strict model that every section of params.yaml is read into."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..system.errors import brief, hide_passwords

# A member's or view's name is a folder's name, too.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]
Text = Annotated[str, Field(max_length=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Few = Annotated[int, Field(ge=1, le=1000)]
Many = Annotated[int, Field(ge=1, le=100_000)]
Resamplings = Annotated[int, Field(ge=100, le=10_000)]  # times the patients, in memory
Seconds = Annotated[float, Field(ge=0, le=30 * 86400)]
Microvolts = Annotated[float, Field(ge=0, le=1e6)]
Positive = Annotated[float, Field(gt=0, le=1e6)]  # of any unit
Nats = Annotated[float, Field(ge=-100, le=100)]


class Section(BaseModel):
    """A section of params.yaml: immutable; unknown keys and wrong types are refused.

    Validated from JSON, so that lists become tuples while ``"1e-3"`` stays refused as text.
    Numbers are finite: ``.inf`` and ``.nan`` are refused. They, lists, mappings and texts have
    bounds, so that no recipe asks for memory or time without end.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False
    )


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError("the first number must be below the second")
    return bounds


ASCENDING = AfterValidator(_ascending)


def explain(err: ValidationError, where: str = "", keys: Sequence[str] = ()) -> str:
    """The first error as a sentence without its full stop, with the path of its key.

    Parameters
    ----------
    err : ValidationError
    where : str
        Begins the path.
    keys : sequence of str
        Those that may stand there.
    """
    first = err.errors()[0]
    path = ".".join(brief(str(part)) for part in (where, *first["loc"]) if part != "")
    if first["type"] == "extra_forbidden":
        choice = f"Choose one of {sorted(keys)}" if keys and len(first["loc"]) == 1 else None
        return f"unknown key {path!r}. {choice or 'Remove it or correct its name'}"
    if first["type"] == "missing":
        return f"missing key {path!r}. Add it (see recipes/)"
    message, value = first["msg"], json.dumps(first["input"], default=str)
    value = brief(hide_passwords(value))
    if first["loc"]:
        return f"{path}: {message}, but is {value}"
    if first["type"] == "model_type":
        return f"a recipe needs sections of keys, but the file holds {value}. Copy one of recipes/"
    return message.removeprefix("Value error, ").rstrip(".")
