"""The frozen, strict model that every section of params.yaml is read into."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of params.yaml: immutable; unknown keys and wrong types are refused.

    Validated from JSON, so that lists become tuples while ``"1e-3"`` stays refused as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())
