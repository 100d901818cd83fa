"""Where a checkout's own store keeps files: derived from the checkout, never from the database.

MLflow writes absolute addresses into its database. A folder that was moved or copied carries the
addresses of its former place, where another checkout may live.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..config import Paths
from ..config.paths import MODELS
from ..system.errors import InputError
from ..system.files import atomic

EXPERIMENT = "hms"  # MLflow's experiment; where it lies is the store's record of its place
ARTIFACTS = "artifacts"
KEPT = "before-move.db"
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def own_artifacts(paths: Paths) -> Path:
    """The folder of all runs' files in the checkout's own store."""
    return paths.mlruns.resolve() / ARTIFACTS


def own_place(paths: Paths, run_id: str | None) -> Path:
    """The folder of one run's files in the checkout's own store.

    Raises
    ------
    InputError
        The id is none of MLflow's, and might name a folder elsewhere.
    """
    if re.fullmatch("[0-9a-f]{32}", run_id or "") is None:
        raise InputError(
            f"A run's id of 32 hexadecimal digits is needed, but the store has {run_id!r}."
            " Restore the store from a backup (docs/how-to/operations.md)."
        )
    return own_artifacts(paths) / str(run_id) / ARTIFACTS


def local_path(uri: str) -> Path | None:
    """The folder behind a ``file:`` URI or a plain path; None where it is elsewhere."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(uri) if parts.scheme == "" else None


def move_addresses(database: Path) -> int:
    """Change the addresses of a store that was moved or copied to the place where it lies now.

    Only addresses below the folder that the store itself recorded are changed, all in one
    transaction, after the database was copied to ``before-move.db`` beside it. If the folder is the
    same and only its name differs (a link, a second mount), nothing is changed.

    Parameters
    ----------
    database : Path
        Call it under the store's lock.

    Returns
    -------
    int
        How many addresses were changed.
    """
    here = database.parent.resolve() / ARTIFACTS
    with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as link:
        before = _recorded(link)
        if before is None or _same_folder(before.parent, here.parent):
            return 0
        with (
            atomic(database.with_name(KEPT)) as kept,
            contextlib.closing(sqlite3.connect(kept)) as copy,
        ):
            link.backup(copy)
        link.execute("BEGIN IMMEDIATE")
        turned = [_turn(link, *place, before, here) for place in ADDRESSES]
        link.execute("COMMIT")
    return sum(turned)


def _recorded(link: sqlite3.Connection) -> Path | None:
    """The folder of the runs' files as the store says; None where it is no checkout's."""
    found = local_path(_location(link))
    if found is None or not found.is_absolute() or ".." in found.parts:
        return None
    return found if found.parts[-2:] == ("mlruns", ARTIFACTS) else None


def _location(link: sqlite3.Connection) -> str:
    query = "SELECT artifact_location FROM experiments WHERE name = ?"
    return (link.execute(query, (EXPERIMENT,)).fetchone() or ("",))[0] or ""


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one == other or os.path.samefile(one, other)
    except OSError:
        return False


def _turn(link: sqlite3.Connection, table: str, column: str, before: Path, here: Path) -> int:
    turned = [
        (_under(uri, place, before, here), row)
        for row, uri, place in _addresses(link, table, column)
        if place is not None and place.is_relative_to(before) and ".." not in place.parts
    ]
    link.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", turned)  # noqa: S608
    return len(turned)


def _under(uri: str, place: Path, before: Path, here: Path) -> str:
    moved = here / place.relative_to(before)
    return moved.as_uri() if uri.startswith("file:") else str(moved)


def _addresses(
    link: sqlite3.Connection,
    table: str,
    column: str,
    rule: str = "true",
    values: Sequence[str] = (),
) -> Iterator[tuple[int, str, Path | None]]:
    query = f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL AND {rule}"  # noqa: S608
    for row, uri in link.execute(query, values).fetchall():
        yield row, uri, local_path(uri)


def foreign_addresses(database: Path, here: Path) -> dict[str, list[str]]:
    """Addresses of the project's experiment and versions that lie outside its folder.

    Parameters
    ----------
    database : Path
        Only read.
    here : Path
        From ``own_artifacts``.

    Returns
    -------
    dict
        ``table.column`` → addresses. An address that reaches the store's own folder by a link or
        a second mount is not foreign, nor are a bucket's where the experiment lies in it.
    """
    found: dict[str, list[str]] = {}
    with contextlib.closing(sqlite3.connect(database)) as link:
        location, recorded = _location(link), _recorded(link)
        same = recorded is not None and _same_folder(recorded.parent, here.parent)
        roots = [here, recorded] if recorded is not None and same else [here]
        if location and local_path(location) is None:
            roots = [location]
        for table, column in ADDRESSES:
            for _, uri, place in _addresses(link, table, column, *_project_rows(table)):
                if not any(_lies_in(uri, place, root) for root in roots):
                    found.setdefault(f"{table}.{column}", []).append(uri)
    return found


def _lies_in(uri: str, place: Path | None, root: Path | str) -> bool:
    if isinstance(root, str):
        return f"{uri}/".startswith(f"{root.rstrip('/')}/") and ".." not in uri.split("/")
    # ".." might lead out of a folder that the address seems to lie in.
    return place is not None and Path(os.path.normpath(place)).is_relative_to(root)


def _project_rows(table: str) -> tuple[str, Sequence[str]]:
    """The rule for a table's rows that are the project's, and its values."""
    if table == "model_versions":
        marks = ", ".join("?" * len(MODELS))
        return f"name IN ({marks}) AND current_stage != 'Deleted_Internal'", MODELS
    ours = "SELECT experiment_id FROM experiments WHERE name = ?"
    return f"experiment_id IN ({ours})", [EXPERIMENT]
