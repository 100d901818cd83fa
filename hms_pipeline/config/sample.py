"""Section `sample`: the embedded data set that `hms sample` writes."""

from __future__ import annotations

from pydantic import Field

from .section import Section


class SampleParams(Section):
    """Size and seed of the simulated competition folder."""

    patients: int = Field(ge=3)
    test_windows: int = Field(ge=1)
    seed: int = Field(ge=0)
