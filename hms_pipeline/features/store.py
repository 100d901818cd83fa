"""The versioned store of one view: memory-mapped float16 shards, an index and a manifest."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..system.errors import InputError
from ..system.files import hash_file, read_sealed, read_table
from .view import BuiltView

FORMAT = 2
MANIFEST = "manifest.json"
INDEX = "index.parquet"
KEYS = "keys.parquet"
TABLES = {INDEX: "index", KEYS: "keys"}  # file → where the manifest has its hash
THREADS = 8  # shards verified at once


class FeatureStore:
    """Values of one view, looked up by ``label_id``.

    Made by ``FeatureStore.open``. Reading is safe from several threads.

    Parameters
    ----------
    folder : Path
    manifest : dict
        What the view is and what it was made from: ``view``, ``params``, ``shape``, ``dtype``,
        ``mirror``, ``code``, ``data``, ``statistics`` and the hash of each shard.
    index : DataFrame
        ``label_id``, ``shard``, ``row``.

    Examples
    --------
    >>> store = FeatureStore.open(Path("artifacts/features/mel"))  # doctest: +SKIP
    >>> store[[1067101, 2098372]].shape  # doctest: +SKIP
    (2, 4, 64, 96)
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], index: pd.DataFrame) -> None:
        self.folder = folder
        self.manifest = manifest
        order = np.argsort(index["label_id"].to_numpy(np.int64), kind="stable")
        self._labels = index["label_id"].to_numpy(np.int64)[order]
        self._shard = index["shard"].to_numpy(np.int64)[order]
        self._row = index["row"].to_numpy(np.int64)[order]
        self._maps: dict[int, np.ndarray] = {}

    @classmethod
    def open(cls, folder: Path | str, *, view: BuiltView | None = None) -> FeatureStore:
        """Open a store and compare its bytes with the manifest.

        Parameters
        ----------
        folder : Path or str
            ``artifacts/features/<view>``.
        view : BuiltView or None
            The view that the values must come from, with its parameters.

        Raises
        ------
        InputError
            The store is absent or unfinished, of another format or other parameters, a shard is
            missing, or bytes changed.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        if view is not None:
            _check_view(manifest, view)
        for name, entry in TABLES.items():
            if not is_file_of(folder / name, manifest[entry]):
                raise InputError(_damaged(folder, name))
        with ThreadPoolExecutor(THREADS) as pool:  # hashing does not block other threads
            check = partial(_check_shard, folder, manifest=manifest)
            list(pool.map(check, manifest["shards"]))
        return cls(folder, manifest, read_table(folder / INDEX))

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def label_ids(self) -> np.ndarray:
        """All label ids, ascending: shape (n_windows,), int64."""
        return self._labels

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's value."""
        return tuple(self.manifest["shape"])

    def __getitem__(self, label_ids: Any) -> np.ndarray:
        """Values of windows, in the order asked.

        Parameters
        ----------
        label_ids : array-like of int, shape (n,)

        Returns
        -------
        array, shape (n, *shape), float16

        Raises
        ------
        InputError
            A label id is not in the store.
        """
        wanted = np.atleast_1d(np.asarray(label_ids, np.int64))
        place = np.searchsorted(self._labels, wanted)
        known = place < len(self._labels)
        known[known] = self._labels[place[known]] == wanted[known]
        if not known.all():
            raise InputError(
                f"View {self.manifest['view']!r} needs a value for label_id"
                f" {wanted[~known][0]}, but has none ({int((~known).sum())} missing). Run"
                f" `hms features {self.manifest['view']}`."
            )
        out = np.empty((len(wanted), *self.shape), np.float16)
        shards = self._shard[place]
        for shard in np.unique(shards):
            here = np.flatnonzero(shards == shard)
            out[here] = self.shard(int(shard))[self._row[place[here]]]
        return out

    def shard(self, number: int) -> np.ndarray:
        """Memory map of one shard: (n_rows, *shape), float16, read-only."""
        if number not in self._maps:
            path = self.folder / shard_name(number)
            self._maps[number] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._maps[number]


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:04d}.npy"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of a finished store.

    Raises
    ------
    InputError
        There is none, it cannot be read, or it is of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(
            f"{folder} needs the finished features of view {folder.name!r}, but has no {MANIFEST}."
            f" Run `hms features {folder.name}`."
        )
    manifest = read_sealed(path, f"hms features {folder.name}")
    if manifest["format"] != FORMAT:
        raise InputError(
            f"{folder} needs format {FORMAT}, but was written in format {manifest['format']}. Run"
            f" `hms features {folder.name}` with this version."
        )
    return manifest


def write_tables(folder: Path, plan: pd.DataFrame) -> None:
    """Write index and keys with one spelling.

    Parameters
    ----------
    folder : Path
    plan : DataFrame
        The index is its ``label_id, shard, row``; the keys are ``shard, row, key``, where
        ``key`` names what a row was made from.
    """
    for name, columns in ((INDEX, ["label_id", "shard", "row"]), (KEYS, ["shard", "row", "key"])):
        table = pa.Table.from_pandas(plan[columns], preserve_index=False)
        table = table.replace_schema_metadata(None)
        pq.write_table(table, folder / name, compression="zstd", write_statistics=False)


def is_file_of(path: Path, sha256: str) -> bool:
    """Whether a file is there with exactly these bytes."""
    return path.is_file() and hash_file(path) == sha256


def _check_view(manifest: dict[str, Any], view: BuiltView) -> None:
    for what, stored, needed in (
        ("view", manifest["view"], view.name),
        ("parameters", manifest["params"], view.params),
        ("shape", manifest["shape"], list(view.shape)),
    ):
        if stored != needed:
            raise InputError(
                f"Features of view {view.name!r} need {what} {json.dumps(needed)[:120]}, but were"
                f" made with {json.dumps(stored)[:120]}. Run `hms features {view.name}`."
            )


def _check_shard(folder: Path, shard: dict[str, Any], manifest: dict[str, Any]) -> None:
    path = folder / shard["file"]
    if not path.is_file():
        raise InputError(
            f"{folder} needs {shard['file']}, but it is missing. Run"
            f" `hms features {manifest['view']}`."
        )
    if path.stat().st_size != shard["bytes"] or hash_file(path) != shard["sha256"]:
        raise InputError(_damaged(folder, shard["file"]))


def _damaged(folder: Path, name: str) -> str:
    return (
        f"{folder / name} needs the bytes that the manifest states, but they changed. Run"
        f" `hms features {folder.name}`."
    )
