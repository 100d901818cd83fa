"""MLflow's side: tracked runs, the packaged model, promotion, rollback and their ledger."""

from __future__ import annotations

from pathlib import Path

from ..config import Paths


def champion(paths: Paths) -> tuple[int, Path]:
    """The champion's version and its verified bundle; see ``registry.api.champion_bundle``."""
    from .api import champion_bundle

    return champion_bundle(paths)
