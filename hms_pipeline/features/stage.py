"""Stage features@V: bring one view's store up to date."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..config import Params, Paths
from ..config.keys import code_key
from ..system.device import choose_device
from ..system.errors import InputError
from ..system.files import hash_file, write_sealed
from ..system.locks import locked
from ..system.processes import process_pool
from ..system.progress import Progress
from .plan import data_hash, plan_rows
from .produce import Producer
from .shards import Known, Target, find_known, targets, write_shard
from .statistics import count_values, describe_values
from .store import FORMAT, MANIFEST, TABLES, is_file_of, shard_name, write_tables
from .view import BuiltView
from .views import build_view

logger = logging.getLogger(__name__)

WINDOWS_A_WORKER = 2000  # starting a process costs about as much as computing so many
WORKERS_A_GPU = 8  # each takes half a gigabyte of it


def run(
    paths: Paths,
    params: Params,
    view: str,
    *,
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
    device : str
        ``"auto"`` takes a GPU where there is one.
    workers : int or None
        Processes, on a GPU as well, where reading takes longer than computing, and threads that
        count values at the end; None chooses by the work to do.
    progress : callable or None
        Called with (windows done, windows in all).

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    InputError
        Unknown view or device, wrong parameters, no kept windows, or another run is writing
        this view.
    """
    built = build_view(params, view)
    chosen = choose_device(device)
    code_key(paths, params, "views", view)  # refuses where DVC was told of other code
    code = code_key(paths, params, "rows", view)
    plan = plan_rows(paths, built, code)
    store, staging = paths.view(view), paths.checkpoints / "features" / view
    busy = (
        f"Features of view {view!r} need one writer, but another run is writing them."
        " Wait for it to end."
    )
    with locked(staging.with_suffix(".lock"), 0.0, busy):
        staging.mkdir(parents=True, exist_ok=True)
        known = find_known(store, staging)
        counted = _Count(len(plan), progress)
        ready, waiting = _sort_out(targets(plan), known, counted)
        ready += _write(paths.data, built, waiting, known, staging, chosen, workers, counted)
        manifest = _publish(built, code, plan, ready, store, staging, workers)
        shutil.rmtree(staging)
    return manifest


class _Count:
    """Adds up rows for the progress callback."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self, n: int) -> None:
        self._done += n
        if self._progress is not None:
            self._progress(self._done, self._total)


def _sort_out(
    wanted: list[Target], known: list[Known], count: Callable[[int], None]
) -> tuple[list[Known], list[Target]]:
    """Shards that are there already, under their name and with exactly their rows; the others."""
    by_rows = {(shard.path.name, shard.keys): shard for shard in known}
    ready, waiting = [], []
    for target in wanted:
        found = by_rows.get((shard_name(target.number), target.keys))
        if found is None:
            waiting.append(target)
        else:
            ready.append(found)
            count(len(target.keys))
    return ready, waiting


def _write(
    root: Path,
    view: BuiltView,
    waiting: list[Target],
    known: list[Known],
    staging: Path,
    device: torch.device,
    workers: int | None,
    count: Callable[[int], None],
) -> list[Known]:
    workers = min(_n_workers(workers, sum(len(t.keys) for t in waiting), device), len(waiting))
    if workers <= 1:
        producer = Producer(root, view, device)
        with one_thread():
            return [write_shard(t, staging, known, view.shape, producer, count) for t in waiting]
    written = []
    task = (root, view.name, view.params, str(device), staging, known)
    work = f"Stage features@{view.name}"
    remains = "finished shards stay"
    with process_pool(workers, work, remains, initializer=_start_worker, initargs=task) as pool:
        try:
            futures = [pool.submit(_work, target) for target in waiting]
            for future in as_completed(futures):
                written.append(future.result())
                count(len(written[-1].keys))
        except torch.OutOfMemoryError as err:
            raise InputError(
                f"Features of view {view.name!r} need memory for {workers} processes on {device},"
                f" but one of them failed: {type(err).__name__}. Lower --workers; {remains}."
            ) from err
    return written


def _n_workers(workers: int | None, n_rows: int, device: torch.device) -> int:
    if workers is None:
        cores = len(os.sched_getaffinity(0))
        most = cores if device.type == "cpu" else min(cores, WORKERS_A_GPU)
        workers = min(most, 1 + n_rows // WINDOWS_A_WORKER)
    return max(1, workers)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch on the CPU: sums are then taken in one order everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_job: dict[str, Any] = {}  # what a worker process was started with


def _start_worker(
    root: Path, name: str, params: dict[str, Any], device: str, staging: Path, known: list[Known]
) -> None:
    from .views import VIEWS

    torch.set_num_threads(1)
    view = VIEWS[name].build(params)
    _job.update(
        producer=Producer(root, view, torch.device(device)),
        staging=staging,
        known=known,
        shape=view.shape,
    )


def _work(target: Target) -> Known:
    return write_shard(target, _job["staging"], _job["known"], _job["shape"], _job["producer"])


def _publish(
    view: BuiltView,
    code: str,
    plan: pd.DataFrame,
    ready: list[Known],
    store: Path,
    staging: Path,
    workers: int | None,
) -> dict[str, Any]:
    """Move new shards into the store; the manifest, which makes it valid, comes last."""
    ready = sorted(ready, key=lambda shard: shard.path.name)
    store.mkdir(parents=True, exist_ok=True)
    moved = [shard for shard in ready if shard.path.parent == staging]
    write_tables(staging, plan)
    tables = {entry: hash_file(staging / name) for name, entry in TABLES.items()}
    threads = _n_workers(workers, len(plan), torch.device("cpu"))
    with one_thread():  # each of them
        counts = count_values([shard.path for shard in ready], view.shape[0], threads)
    manifest = _manifest(view, code, plan, ready, tables, counts)
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
    logger.info("%s: %d windows in %d shards, %d new", view.name, len(plan), len(ready), len(moved))
    return manifest


def _manifest(
    view: BuiltView,
    code: str,
    plan: pd.DataFrame,
    ready: list[Known],
    tables: dict[str, str],
    counts: np.ndarray,
) -> dict[str, Any]:
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
        "n_windows": len(plan),
        "code": code,
        "data": data_hash(plan),
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
