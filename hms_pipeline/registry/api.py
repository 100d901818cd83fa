"""What the command line, the flows and the scoring ask of the registry."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Paths
from ..inference.bundle import TABLES
from ..system.errors import InputError
from ..tracking.store import has_store, read_store
from . import promotion
from .cleanup import remove_compiled, remove_fetched, remove_models, remove_trainings
from .lineage import restore_commands
from .package import BUNDLE
from .tables import training_tables
from .versions import ROLLED_BACK, Registry, facts_of, names, reasons_of


def list_versions(paths: Paths) -> list[dict[str, Any]]:
    """Versions, newest first: aliases, KL with its interval, verdict and reasons."""
    if not has_store(paths):
        return []
    registry = Registry.open(paths)
    aliases = registry.aliases()
    return [
        {
            "version": int(version.version),
            "aliases": names(aliases, int(version.version)),
            "recipe": version.tags.get("recipe", ""),
            "kl": float(version.tags["kl"]) if "kl" in version.tags else None,
            "interval": _interval(version.tags),
            "verdict": _verdict(version.tags),
            "reasons": reasons_of(version.tags),
        }
        for version in registry.versions()
    ]


def trained_on(paths: Paths, patient_id: int) -> list[dict[str, Any]]:
    """Versions whose training saw a patient, newest first.

    Parameters
    ----------
    paths : Paths
    patient_id : int

    Returns
    -------
    list of dict
        ``version, aliases, windows, held_out``: how many of the patient's windows, and the fold
        whose networks never saw them. Where the tables cannot be read, ``windows`` says so.
    """
    registry = Registry.open(paths)
    aliases = registry.aliases()
    rows = []
    for version in registry.versions():
        number = int(version.version)
        row: dict[str, Any] = {"version": number, "aliases": ", ".join(names(aliases, number))}
        try:
            folds = pd.read_parquet(training_tables(registry, version) / TABLES[0])
        except (InputError, OSError) as err:
            rows.append(row | {"windows": f"unknown: {err}", "held_out": ""})
            continue
        own = folds[folds["patient_id"] == patient_id]
        if len(own):
            rows.append(row | {"windows": len(own), "held_out": int(own["fold"].iloc[0])})
    return rows


def _interval(tags: dict[str, str]) -> tuple[float, float] | None:
    if "kl_interval" not in tags:
        return None
    low, high = map(float, tags["kl_interval"].split("–"))
    return low, high


def _verdict(tags: dict[str, str]) -> str:
    return tags.get("verdict", "undecided") + (", rolled back" if ROLLED_BACK in tags else "")


def describe(paths: Paths, version: int | str) -> dict[str, Any]:
    """One version in full: what it is, what it came from, and how to bring that back.

    Parameters
    ----------
    paths : Paths
    version : int or str
    """
    registry = Registry.open(paths)
    found = registry.named(version)
    folder = registry.folder(found)
    facts: dict[str, Any] = {
        "version": int(found.version),
        "aliases": names(registry.aliases(), int(found.version)),
        "verdict": _verdict(found.tags),
        "reasons": reasons_of(found.tags),
        "files": str(folder),
    }
    facts |= {key: value for key, value in sorted(found.tags.items()) if key not in facts}
    try:
        registry.verify(found)
    except InputError as err:
        facts["damaged"] = str(err)
    if "damaged" not in facts and (folder / "lineage.json").exists():
        origin = json.loads((folder / "lineage.json").read_text(encoding="utf-8"))
        facts["made from"] = {key: value for key, value in origin.items() if key not in facts}
        commands = restore_commands(origin, folder)
        facts["bring back"] = commands or f"no way: code {origin['git_commit']}"
    facts["history"] = [
        f"{record['time']} {record['who']} {record['action']} {record.get('kind', '')}".strip()
        for record in registry.ledger.read()
        if int(found.version) in (record.get("version"), record.get("to"), record.get("from"))
    ]
    return facts


def promote(paths: Paths, version: int | str, reason: str) -> int:
    """Make a version the champion by hand.

    Raises
    ------
    InputError
        It is the champion already, does not verify, or no reason is given.
    """
    read_store(paths)  # refuses where there is none, before the next line makes one
    with Registry.changing(paths) as registry:
        found = registry.named(version)
        if registry.champion() == int(found.version):
            raise InputError(f"Version {found.version} is the champion already. Nothing to do.")
        promotion.promote(registry, found, reason, "manual")
        return int(found.version)


def rollback(paths: Paths, reason: str) -> int:
    """Move the champion back to its predecessor; gives the version that is champion now."""
    read_store(paths)
    with Registry.changing(paths) as registry:
        return promotion.rollback(registry, reason)


def model_of(paths: Paths, version: int | str | None = None) -> tuple[int, Path]:
    """A version's number and its model folder, every file as it was registered.

    Parameters
    ----------
    paths : Paths
    version : int or str, optional
        A number, ``models:/hms-ensemble/3`` or ``models:/hms-ensemble@champion``; the champion
        where none is given.

    Raises
    ------
    InputError
        No such version or alias, or a file is not as it was registered.
    """
    registry = Registry.open(paths)
    found = registry.named(version)
    return int(found.version), registry.verify(found)


def bundle_of(paths: Paths, version: int | str | None = None) -> tuple[int, Path]:
    """A version's number and its verified bundle's folder; the champion's by default."""
    found, model = model_of(paths, version)
    return found, model / BUNDLE


def origin_of(paths: Paths, version: int | str | None) -> dict[str, str]:
    """The code and the data of a version, for what is written about its answers.

    Returns
    -------
    dict
        ``code`` and ``data``, in words.
    """
    registry = Registry.open(paths)
    tags = registry.named(version).tags
    kind, digest = tags.get("data_origin", "of unknown origin"), tags.get("data", "unknown")
    return {"code": tags.get("git_commit", "unknown"), "data": f"{kind}, digest {digest}"}


def gc(paths: Paths, keep: int) -> list[int]:
    """Remove old versions with their files, and what killed processes left behind.

    Checkpoints of trainings go too, where the present inputs never resume them.

    Parameters
    ----------
    paths : Paths
    keep : int
        Newest versions that stay, beside the champion, its predecessor and other aliases.

    Returns
    -------
    list of int
        What was removed.
    """
    removed = _remove_versions(paths, keep) if has_store(paths) else []
    remove_trainings(paths)
    remove_compiled(paths)
    return removed


def _remove_versions(paths: Paths, keep: int) -> list[int]:
    with Registry.changing(paths) as registry:
        kept = set(registry.aliases().values())
        with contextlib.suppress(InputError):
            kept.add(promotion.predecessor(registry))
        versions = registry.versions()
        kept |= {int(version.version) for version in versions[:keep]}
        removed = [version for version in versions if int(version.version) not in kept]
        for version in removed:
            registry.ledger.append("delete", **facts_of(version))
            registry.decisions.delete(version)
        remove_models(registry)
        remove_fetched(registry)
        return sorted(int(version.version) for version in removed)
