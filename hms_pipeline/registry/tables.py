"""The tables of a version's training: patients, their folds, nested out-of-fold predictions.

They name patients, so they lie with the version's run and not in the model that is handed on;
the model's ``lineage.json`` holds their hashes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

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


def trained_on(registry: Registry, patient_id: int) -> list[dict[str, Any]]:
    """Versions whose training saw a patient, newest first.

    Parameters
    ----------
    registry : Registry
    patient_id : int

    Returns
    -------
    list of dict
        ``version, aliases, windows, held_out``: how many of the patient's windows, and the fold
        whose networks never saw them. Where the tables cannot be read, ``windows`` says so.
    """
    aliases = registry.aliases()
    rows = []
    for version in registry.versions():
        number = int(version.version)
        names = ", ".join(alias for alias, to in sorted(aliases.items()) if to == number)
        row: dict[str, Any] = {"version": number, "aliases": names}
        try:
            folds = pd.read_parquet(training_tables(registry, version) / TABLES[0])
        except (InputError, OSError) as err:
            rows.append(row | {"windows": f"unknown: {err}", "held_out": ""})
            continue
        own = folds[folds["patient_id"] == patient_id]
        if len(own):
            rows.append(row | {"windows": len(own), "held_out": int(own["fold"].iloc[0])})
    return rows
