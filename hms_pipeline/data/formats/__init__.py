"""The catalogue of formats: one decorated definition each, found when this room is imported."""

from __future__ import annotations

from pathlib import Path

from ...catalogue import discover
from .format import FORMATS, Format

discover(__name__, list(__path__))


def format_of(path: Path) -> Format | None:
    """The format of a file or folder, by its ending; None where it is no clinical recording."""
    name = path.name.lower()
    fits = {e: found for found in FORMATS.values() for e in found.endings if name.endswith(e)}
    return fits[max(fits, key=len)] if fits else None
