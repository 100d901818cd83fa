"""The frozen, strict model that every section of params.yaml is read into."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# A member's or view's name is a folder's name, too.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]
Text = Annotated[str, Field(max_length=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Few = Annotated[int, Field(ge=1, le=1000)]
Many = Annotated[int, Field(ge=1, le=100_000)]
Resamplings = Annotated[int, Field(ge=100, le=10_000)]  # times the patients, in memory
Seconds = Annotated[float, Field(ge=0, le=30 * 86400)]


class Section(BaseModel):
    """A section of params.yaml: immutable; unknown keys and wrong types are refused.

    Validated from JSON, so that lists become tuples while ``"1e-3"`` stays refused as text.
    Numbers are finite: ``.inf`` and ``.nan`` are refused. Whole numbers, lists, mappings and texts
    have an upper bound, so that no recipe asks for memory or time without end.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False
    )


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError("the first number must be below the second")
    return bounds


ASCENDING = AfterValidator(_ascending)
