"""What happens if no window of a data set has as many votes as the recipe asks for."""

from __future__ import annotations

from collections.abc import Sequence

from .params import Params
from .training import StageParams


def has_windows(params: StageParams, votes: Sequence[int]) -> bool:
    """Whether a training stage takes any window with one of these numbers of votes."""
    high = params.max_votes or max(votes, default=0)
    return any(params.min_votes <= n <= high for n in votes)


def unmet(params: Params, votes: Sequence[int]) -> list[str]:
    """Say what is done differently from the recipe, because no window has as many votes.

    Parameters
    ----------
    params : Params
    votes : sequence of int
        Of every window; one at least.

    Returns
    -------
    list of str
        Sentences: for each training stage that is left out, and for the gate.
    """
    low, high = min(votes), max(votes)
    there = f"these windows have {low}" + (f" to {high}" if high > low else "")
    said = [
        f"training.stages {stage.name!r} is left out: it takes windows with {stage.min_votes}"
        f"{f' to {stage.max_votes}' if stage.max_votes else ' or more'} votes, but {there}."
        for stage in params.training.stages
        if not has_windows(stage, votes)
    ]
    if high < params.gate.min_votes:
        said.append(
            f"The gate judges on all windows: gate.min_votes is {params.gate.min_votes}, but"
            f" {there}."
        )
    return said
