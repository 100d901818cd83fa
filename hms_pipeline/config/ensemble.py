"""Section `ensemble`: blending, calibration and the evidence for them."""

from __future__ import annotations

from pydantic import Field

from .section import Positive, Resamplings, Section, Seed


class EnsembleParams(Section):
    """How hard weights and calibration are held back, and how the evidence is drawn.

    Parameters
    ----------
    shrinkage : float, nats
        Pull of the members' weights toward the equal mean.
    ridge : float, nats
        Pull of the temperature and the class offsets toward 1 and 0.
    bootstrap : int
        Resamplings of patients behind every interval.
    confidence : float
        Coverage of the intervals.
    bins : int
        Bins of the calibration error and the reliability curves.
    seed : int
        Seed of the bootstrap.
    """

    shrinkage: Positive
    ridge: Positive
    bootstrap: Resamplings
    confidence: float = Field(gt=0.5, lt=1)
    bins: int = Field(ge=2, le=1000)
    seed: Seed
