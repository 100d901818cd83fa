"""Section `student`: one small network that learns to answer as the ensemble does."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .members import MemberParams
from .section import Name
from .training import StageParams

STUDENT = "student"  # the student's name wherever members are listed by name


class StudentParams(MemberParams):
    """The keys of a member, and how the student is taught; all else is as for the members.

    Parameters
    ----------
    stages : tuple of StageParams
        Used instead of ``training.stages``.
    augmentation : dict of str to dict
        Used instead of ``training.augmentation``.
    votes_share : float
        Share of the experts' votes in what it learns; the rest is the ensemble's answer.
    overlaps : bool
        Whether it learns from windows that the rule `overlap` set aside, too.
    """

    stages: tuple[StageParams, ...] = Field(min_length=1, max_length=16)
    augmentation: dict[Name, Annotated[dict[Name, float], Field(max_length=32)]] = Field(
        max_length=32
    )
    votes_share: float = Field(ge=0, le=1)
    overlaps: bool

    @property
    def member(self) -> MemberParams:
        """The network alone."""
        return MemberParams(**{name: getattr(self, name) for name in MemberParams.model_fields})
