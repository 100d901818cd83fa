"""Writing shards: rows that are known by their key are copied, the others computed.

New shards are made in a staging folder outside the store, each with a note of its rows and hash;
the store itself changes only at the end, by renames. A killed run therefore leaves the old store,
or a store without manifest whose shards the notes still vouch for; the next run continues there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..system.errors import InputError
from ..system.files import atomic, hash_file, read_sealed, reserve, write_sealed
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


def find_known(store: Path, staging: Path) -> list[Known]:
    """Shards of an earlier run that are whole: their bytes have the hash that was noted."""
    known = []
    for name, keys, sha256 in [*_noted(staging), *_published(store)]:
        for path in (staging / name, store / name):
            if is_file_of(path, sha256):
                known.append(Known(path, keys, sha256))
                break
    return known


def _noted(staging: Path) -> Iterable[tuple[str, tuple[str, ...], str]]:
    for path in sorted(staging.glob("shard-*.json")):
        with contextlib.suppress(InputError):  # a damaged note vouches for nothing
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


def write_shard(
    target: Target,
    staging: Path,
    known: list[Known],
    shape: tuple[int, ...],
    producer: Producer,
    step: Callable[[int], None] = lambda n: None,
) -> Known:
    """Write one shard into the staging folder, with its note.

    Parameters
    ----------
    target : Target
    staging : Path
    known : list of Known
        Where rows may be copied from.
    shape : tuple of int
        Shape of one row.
    producer : Producer
        Computes the rows that are not known.
    step : callable
        Told how many rows were done.
    """
    path = staging / shard_name(target.number)
    place = _places(known)
    with atomic(path) as temporary:
        out = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.float16, shape=(len(target.keys), *shape)
        )
        reserve(temporary)
        copied = [row for row, key in enumerate(target.keys) if key in place]
        for row in copied:
            source, at = place[target.keys[row]]
            out[row] = np.load(source, mmap_mode="r", allow_pickle=False)[at]
        step(len(copied))
        missing = [row for row, key in enumerate(target.keys) if key not in place]
        done = 0
        for values in producer.values([target.rows[row] for row in missing]):
            out[missing[done : done + len(values)]] = values
            done += len(values)
            step(len(values))
        out.flush()
        del out
    sha256 = hash_file(path)
    write_sealed(path.with_suffix(".json"), {"keys": list(target.keys), "sha256": sha256})
    return Known(path, target.keys, sha256)


def _places(known: list[Known]) -> Mapping[str, tuple[Path, int]]:
    return {key: (shard.path, row) for shard in known for row, key in enumerate(shard.keys)}
