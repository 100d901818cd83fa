"""Section `ensemble`: blending, calibration and the evidence for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Section

Strength = Annotated[float, Field(gt=0)]


class EnsembleParams(Section):
    """How members are blended, and how sure one must be before weights replace the mean.

    Parameters
    ----------
    shrinkage : tuple of float, nats
        Strengths tried for the pull of the weights toward the equal mean.
    ridge : tuple of float, nats
        Strengths tried for the pull of temperature and class offsets toward 1 and 0.
    greedy_rounds : int
        Picks of the greedy selection beside it.
    bootstrap : int
        Resamplings of patients behind every interval.
    confidence : float
        Coverage of the intervals; a simpler blend stays unless the gain over it is above zero
        at this confidence.
    bins : int
        Bins of the calibration error and the reliability curves.
    seed : int
        Seed of the bootstrap.
    """

    shrinkage: tuple[Strength, ...] = Field(min_length=1)
    ridge: tuple[Strength, ...] = Field(min_length=1)
    greedy_rounds: int = Field(ge=1)
    bootstrap: int = Field(ge=100)
    confidence: float = Field(gt=0.5, lt=1)
    bins: int = Field(ge=2)
    seed: int = Field(ge=0)
