"""Section `split`: patient-grouped folds."""

from __future__ import annotations

from pydantic import Field

from .section import Section, Seed


class SplitParams(Section):
    """Number of folds and the seed of their assignment."""

    n_folds: int = Field(ge=2, le=100)
    seed: Seed
