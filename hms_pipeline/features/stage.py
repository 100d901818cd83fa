"""Stage features@V: bring one view's store up to date."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from ..config import Params, Paths
from ..system.device import choose_device
from ..system.files import hash_file, write_sealed
from ..system.locks import locked
from ..system.processes import cores
from ..system.progress import Progress
from .plan import data_hash
from .shards import Known
from .statistics import count_values, describe_values
from .store import FORMAT, MANIFEST, TABLES, is_file_of, write_tables
from .update import Update, stale_others
from .write import one_thread, write_waiting

logger = logging.getLogger(__name__)


def run(
    paths: Paths,
    params: Params,
    view: str,
    *,
    ahead: bool = False,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write or refresh the store of one view.

    Only rows whose recordings, offsets, parameters or code changed are computed. The result's
    bytes depend on neither the number of workers nor on what was there before.

    Parameters
    ----------
    paths : Paths
    params : Params
    view : str
        Name of a view of the recipe.
    ahead : bool
        Windows that are read for this view are computed for all views of the recipe that lack
        them, too. Their stages find the shards finished; their stores stay as they are till then.
    device : str
        ``"auto"`` takes a GPU where there is one.
    workers : int or None
        Processes, on a GPU as well, where reading takes longer than computing; None chooses by the
        work to do, the cores and the memory.
    progress : callable or None
        Called with (windows done, windows in all).

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    InputError
        Unknown view or device, wrong parameters, or no kept windows.
    """
    chosen = choose_device(device)
    with locked(paths.checkpoints / "features.lock", -1):  # the next run finds this one's shards
        own = Update.of(paths, params, view)
        others = stale_others(paths, params, view) if ahead and own.waiting else ()
        step = _counter(len(own.plan), progress)
        step(sum(len(shard.keys) for shard in own.ready))
        write_waiting(paths.data, [own, *others], chosen, workers, step)
        manifest = _publish(own)
        shutil.rmtree(own.staging)
    return manifest


def _counter(total: int, progress: Progress | None) -> Callable[[int], None]:
    done = 0

    def step(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done, total)

    return step


def _publish(own: Update) -> dict[str, Any]:
    """Move new shards into the store; the manifest, which makes it valid, comes last."""
    store, staging = own.store, own.staging
    ready = sorted(own.ready, key=lambda shard: shard.path.name)
    store.mkdir(parents=True, exist_ok=True)
    moved = [shard for shard in ready if shard.path.parent == staging]
    write_tables(staging, own.plan)
    tables = {entry: hash_file(staging / name) for name, entry in TABLES.items()}
    with one_thread():  # every process uses one thread
        counts = count_values([shard.path for shard in ready], own.view.shape[0], cores())
    manifest = _manifest(own, ready, tables, counts)
    if moved or not all(is_file_of(store / name, tables[e]) for name, e in TABLES.items()):
        (store / MANIFEST).unlink(missing_ok=True)
    for shard in moved:
        os.replace(shard.path, store / shard.path.name)
    wanted = {shard.path.name for shard in ready} | {*TABLES, MANIFEST}
    for path in store.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in TABLES:
        os.replace(staging / name, store / name)
    write_sealed(store / MANIFEST, manifest)
    logger.info(
        "%s: %d windows in %d shards, %d new",
        *(own.view.name, len(own.plan), len(ready), len(moved)),
    )
    return manifest


def _manifest(
    own: Update, ready: list[Known], tables: dict[str, str], counts: np.ndarray
) -> dict[str, Any]:
    view = own.view
    return {
        "format": FORMAT,
        "view": view.name,
        "kind": view.kind,
        "inputs": list(view.inputs),
        "params": view.params,
        "shape": list(view.shape),
        "dtype": view.dtype,
        "rows": list(view.row_names),
        "mirror": list(view.mirror),
        "mirror_sign": list(view.mirror_sign),
        "n_windows": len(own.plan),
        "code": own.code,
        "data": data_hash(own.plan),
        **tables,
        "shards": [
            {
                "file": shard.path.name,
                "shard": int(shard.path.stem.removeprefix("shard-")),
                "rows": len(shard.keys),
                "bytes": shard.path.stat().st_size,
                "sha256": shard.sha256,
            }
            for shard in ready
        ],
        "statistics": describe_values(counts, view.row_names),
    }
