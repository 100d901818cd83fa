"""The catalogue of formats: one decorated definition each, found when this room is imported."""

from __future__ import annotations

from pathlib import Path

from ...catalogue import discover
from .format import FORMATS, Format

discover(__name__, list(__path__))
_BY_ENDING = {ending: found for found in FORMATS.values() for ending in found.endings}


def format_of(path: Path) -> Format | None:
    """The format of a file or folder, by its ending; None where it is no clinical recording."""
    name = path.name.lower()
    fits = [ending for ending in _BY_ENDING if name.endswith(ending)]
    return _BY_ENDING[max(fits, key=len)] if fits else None
