"""Section `sample`: the embedded data set that `hms sample` writes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .section import Many, Section, Seed


class SampleParams(Section):
    """Size, seed and make-up of the simulated competition folder.

    Parameters
    ----------
    patients, test_windows : int
    seed : int
    proportions : str
        Classes and windows per patient: ``"even"`` fits a small set, ``"competition"`` is the
        competition's own make-up (1,950 patients: about 17,000 EEGs).
    leave_out : tuple of str
        Sources of variation that the signal does without, as an ablation asks
        (``hms_pipeline.simulator.variation``).
    """

    patients: int = Field(ge=3, le=20_000)
    test_windows: Many
    seed: Seed
    proportions: Literal["even", "competition"] = "even"
    leave_out: tuple[str, ...] = ()
