"""The frozen, strict model that every section of params.yaml is read into."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# A member's or view's name is a folder's name, too.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]


class Section(BaseModel):
    """A section of params.yaml: immutable; unknown keys and wrong types are refused.

    Validated from JSON, so that lists become tuples while ``"1e-3"`` stays refused as text.
    Numbers are finite: ``.inf`` and ``.nan`` are refused.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False
    )


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError("the first number must be below the second")
    return bounds


ASCENDING = AfterValidator(_ascending)
