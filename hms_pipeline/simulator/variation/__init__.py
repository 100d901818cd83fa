"""Sources of variation: one decorated definition each, any of which a sample may leave out."""

from __future__ import annotations

from ...catalogue import discover
from ...system.errors import InputError
from .catalogue import ARTEFACTS, VARIATIONS

__all__ = ["ARTEFACTS", "VARIATIONS", "check_sources", "source_names"]

discover(__name__, __path__)


def source_names() -> list[str]:
    """Names of all sources, those of traits and of artefacts."""
    return sorted([*VARIATIONS, *ARTEFACTS])


def check_sources(leave_out: list[str] | tuple[str, ...]) -> None:
    """Raise InputError where a name is no source of variation."""
    for name in leave_out:
        if name not in source_names():
            raise InputError(
                f"Unknown source of variation {name!r} in leave_out."
                f" Choose one of {source_names()}."
            )
