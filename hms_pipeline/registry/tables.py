"""The tables of a version's training: patients, their folds, nested out-of-fold predictions.

They name patients, so they lie with the version's run and not in the model that is handed on;
the model's ``lineage.json`` holds their hashes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..inference.bundle import TABLES
from ..system.errors import InputError
from ..system.files import hash_file
from ..tracking.places import local_path
from .package import BUNDLE
from .versions import Registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

TRAINING = "training"  # the run's folder of artifacts, beside ``model``


def training_tables(registry: Registry, version: ModelVersion) -> Path:
    """The folder of a version's ``folds.parquet`` and ``oof.parquet``, as they were registered.

    Parameters
    ----------
    registry : Registry
    version : ModelVersion

    Raises
    ------
    InputError
        They are missing or were changed.
    """
    model = registry.folder(version)
    if (model / BUNDLE / TABLES[0]).is_file():  # packaged with them, and verified with the model
        return model / BUNDLE
    stated = json.loads((model / "lineage.json").read_text(encoding="utf-8")).get("tables", {})
    if local_path(version.source) is None:
        registry.client.download_artifacts(version.run_id, TRAINING, str(model.parent))
    folder = model.parent / TRAINING
    for name in TABLES:
        path = folder / name
        if not path.is_file() or hash_file(path) != stated.get(name):
            raise InputError(
                f"The training tables of version {version.version} must be as they were registered,"
                f" but {name} {'was changed' if path.is_file() else 'is missing'}. Restore the"
                f" folder {TRAINING} beside its model, or promote by hand."
            )
    return folder
