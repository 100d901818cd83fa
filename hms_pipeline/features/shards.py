"""Writing shards: rows that are known by their key are copied, the others computed.

New shards are made in a staging folder outside the store, each with a note of its rows and hash;
the store itself changes only at the end, by renames. A killed run therefore leaves the old store,
or a store without a manifest whose shards still have their notes; the next run continues there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..system.errors import InputError
from ..system.files import hash_file, naming, read_sealed, reserve, write_sealed
from .plan import READ_COLUMNS
from .produce import Producer
from .store import KEYS, is_file_of, read_manifest, shard_name


@dataclass(frozen=True)
class Known:
    """A shard file whose bytes are as promised.

    Parameters
    ----------
    path : Path
    keys : tuple of str
        The key of each of its rows.
    sha256 : str
    """

    path: Path
    keys: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Target:
    """A shard to be.

    Parameters
    ----------
    number : int
    keys : tuple of str
    rows : list of dict
        What to read for each row.
    """

    number: int
    keys: tuple[str, ...]
    rows: list[dict[str, Any]]


def targets(plan: pd.DataFrame) -> list[Target]:
    """The shards of a plan."""
    read = ["label_id", *READ_COLUMNS]
    return [
        Target(int(number), tuple(group["key"]), group[read].to_dict("records"))
        for number, group in plan.groupby("shard", sort=True)
    ]


def find_known(store: Path, staging: Path, threads: int = 1) -> list[Known]:
    """Shards of an earlier run that are whole: their bytes have the hash that was noted.

    Parameters
    ----------
    store, staging : Path
    threads : int
        Files hashed at once.
    """

    def whole(noted: tuple[str, tuple[str, ...], str]) -> Known | None:
        name, keys, sha256 = noted
        found = (path for path in (staging / name, store / name) if is_file_of(path, sha256))
        path = next(found, None)
        return None if path is None else Known(path, keys, sha256)

    with ThreadPoolExecutor(threads) as pool:  # hashing does not block other threads
        found = pool.map(whole, [*_noted(staging), *_published(store)])
        return [known for known in found if known is not None]


def are_noted(wanted: list[Target], store: Path, staging: Path) -> bool:
    """Whether an earlier run noted all these shards; their bytes are not read."""
    noted = {
        (name, keys)
        for name, keys, _ in [*_noted(staging), *_published(store)]
        if (staging / name).exists() or (store / name).exists()
    }
    return noted.issuperset((shard_name(target.number), target.keys) for target in wanted)


def _noted(staging: Path) -> Iterable[tuple[str, tuple[str, ...], str]]:
    for path in sorted(staging.glob("shard-*.json")):
        with contextlib.suppress(InputError):  # a damaged note counts as none
            note = read_sealed(path, "hms features")
            yield f"{path.stem}.npy", tuple(note["keys"]), note["sha256"]


def _published(store: Path) -> Iterable[tuple[str, tuple[str, ...], str]]:
    try:
        manifest = read_manifest(store)
        if not is_file_of(store / KEYS, manifest["keys"]):
            return
    except (InputError, OSError):
        return
    table = pd.read_parquet(store / KEYS).sort_values(["shard", "row"])
    keys = {number: tuple(group["key"]) for number, group in table.groupby("shard")}
    for shard in manifest["shards"]:
        yield shard["file"], keys[shard["shard"]], shard["sha256"]


@dataclass(frozen=True)
class Source:
    """Where shards of a view are written, and where its rows may be copied from.

    Parameters
    ----------
    staging : Path
    known : list of Known
    shape : tuple of int
        Shape of one row.
    """

    staging: Path
    known: list[Known]
    shape: tuple[int, ...]

    @cached_property
    def places(self) -> Mapping[str, tuple[Path, int]]:
        """Key of a row → its file and place there."""
        return {
            key: (shard.path, row) for shard in self.known for row, key in enumerate(shard.keys)
        }


def write_shards(
    wanted: Mapping[str, Target],
    sources: Mapping[str, Source],
    producer: Producer,
    step: Callable[[int], None] = lambda n: None,
) -> dict[str, Known]:
    """Write the shard of one number of several views, each with its note.

    Parameters
    ----------
    wanted : mapping of str to Target
        View → its shard; all are of the same windows.
    sources : mapping of str to Source
    producer : Producer
        Computes the rows that are not known, reading each window once.
    step : callable
        Called with the number of rows of the first view that were done.
    """
    first, rows = next((name, target.rows) for name, target in wanted.items())
    outs, missing = {}, {}
    try:
        for name, target in wanted.items():
            out = outs[name] = _create(_unfinished(sources[name], target), sources[name], len(rows))
            missing[name] = _copy_known(out, target.keys, sources[name].places)
        step(len(rows) - len(missing[first]))
        for name, places, values in producer.values(rows, missing):
            outs[name][places] = values
            step(len(places) if name == first else 0)
        return {name: _note(sources[name], target) for name, target in wanted.items()}
    finally:
        for name, target in wanted.items():  # of what failed; what is finished was renamed
            _unfinished(sources[name], target).unlink(missing_ok=True)


def _unfinished(source: Source, target: Target) -> Path:
    return source.staging / f"unfinished-{target.number}.npy"


def _create(path: Path, source: Source, n_rows: int) -> np.memmap:
    shape = (n_rows, *source.shape)
    with naming(path):
        out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        reserve(path)
    return out


def _copy_known(
    out: np.ndarray, keys: tuple[str, ...], places: Mapping[str, tuple[Path, int]]
) -> list[int]:
    """Copy the rows whose keys are known; the other rows."""
    missing = []
    for row, key in enumerate(keys):
        if key in places:
            source, at = places[key]
            out[row] = np.load(source, mmap_mode="r", allow_pickle=False)[at]
        else:
            missing.append(row)
    return missing


def _note(source: Source, target: Target) -> Known:
    """Finish a shard. Its bytes may reach the disk later, so every reader compares its hash."""
    unfinished, path = _unfinished(source, target), source.staging / shard_name(target.number)
    sha256 = hash_file(unfinished)
    os.replace(unfinished, path)
    write_sealed(path.with_suffix(".json"), {"keys": list(target.keys), "sha256": sha256})
    return Known(path, target.keys, sha256)
