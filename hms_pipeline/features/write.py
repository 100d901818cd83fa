"""Writing the shards that wait: in this process, or in several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..system.errors import InputError
from ..system.processes import cores, free_memory, process_pool
from .produce import Producer
from .shards import Known, Source, Target, write_shards
from .update import Update
from .views import VIEWS

logger = logging.getLogger(__name__)

ROWS_A_WORKER = 2000  # rows that take as long to compute as a process takes to start
# Memory of one process; on a GPU its context takes most of it.
HOST_BYTES = {"cpu": 4e8, "cuda": 1e9}
GPU_BYTES = 2e9
MOST_BYTES = 11e9  # memory of all processes together: 16 GB then also hold seven waiting stages


@dataclass
class Writer:
    """Writes shards; handed over to each process, which opens its own reader of windows.

    Parameters
    ----------
    own : str
        The view that has to be written; others are written beside it where that works.
    root : Path
        The competition folder.
    params : mapping of str to mapping
        View → its parameters.
    sources : mapping of str to Source
    device : str
    """

    own: str
    root: Path
    params: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, Source]
    device: str

    @cached_property
    def producer(self) -> Producer:
        """Computes rows; made where it is used, because views cannot be handed over."""
        views = {name: VIEWS[name].build(params) for name, params in self.params.items()}
        return Producer(self.root, views, torch.device(self.device))

    def write(self, wanted: Mapping[str, Target], step: Callable[[int], None]) -> dict[str, Known]:
        """Write the shard of one number; other views never hinder the own one.

        Parameters
        ----------
        wanted : mapping of str to Target
            View → its shard; the own one first.
        step : callable
            Told how many rows of the own view were done.
        """
        own = {name: target for name, target in wanted.items() if name == self.own}
        try:
            return write_shards(wanted, self.sources, self.producer, step if own else _ignore)
        except Exception as err:
            if own == wanted:
                raise
            logger.warning("Views beside %s are left to their own stages: %s", self.own, err)
        # Outside the block above, whose error holds on to the batch it was raised for.
        return write_shards(own, self.sources, self.producer, _ignore) if own else {}


def write_waiting(
    root: Path,
    updates: Sequence[Update],
    device: torch.device,
    workers: int | None,
    step: Callable[[int], None],
) -> None:
    """Write what waits of the first update, and of the others with it.

    Shards of one number hold the same windows in every view, so each window is read once.

    Parameters
    ----------
    root : Path
        The competition folder.
    updates : sequence of Update
        The first one's new shards become ready.
    device : torch.device
    workers : int or None
        See ``n_workers``.
    step : callable
        Called with the number of rows of the first update that were done.

    Raises
    ------
    InputError
        Its rows cannot be computed, or a process died.
    """
    own, tasks = updates[0], dict[int, dict[str, Target]]()
    for update in updates:
        update.staging.mkdir(parents=True, exist_ok=True)
        for target in update.waiting:
            tasks.setdefault(target.number, {})[update.view.name] = target
    n_rows = sum(len(target.keys) for wanted in tasks.values() for target in wanted.values())
    writer = Writer(
        own.view.name,
        root,
        {update.view.name: update.view.params for update in updates},
        {update.view.name: update.source for update in updates},
        str(device),
    )
    for written in _written(writer, list(tasks.values()), n_workers(workers, n_rows, device), step):
        own.ready += [shard for name, shard in written.items() if name == writer.own]


def _written(
    writer: Writer, tasks: list[dict[str, Target]], workers: int, step: Callable[[int], None]
) -> Iterator[dict[str, Known]]:
    workers, own = min(workers, len(tasks)), writer.own
    if workers <= 1:
        with one_thread():
            yield from (writer.write(wanted, step) for wanted in tasks)
        return
    work, remains = f"Stage features@{own}", "finished shards stay"
    with process_pool(workers, work, remains, initializer=_start, initargs=(writer,)) as pool:
        try:
            for future in as_completed([pool.submit(_write, wanted) for wanted in tasks]):
                written = future.result()
                step(len(written[own].keys) if own in written else 0)
                yield written
        except torch.OutOfMemoryError as err:
            raise InputError(
                f"Features of view {own!r} need memory for {workers} processes on {writer.device},"
                f" but one of them failed: {type(err).__name__}. Lower --workers; {remains}."
            ) from err


def n_workers(workers: int | None, n_rows: int, device: torch.device) -> int:
    """How many processes: as many as asked for, or as work, cores and memory allow."""
    if workers is None:
        room = min(MOST_BYTES, free_memory() / 2) // HOST_BYTES[device.type]
        if device.type == "cuda":
            room = min(room, torch.cuda.get_device_properties(device).total_memory // GPU_BYTES)
        workers = min(cores(), int(room), 1 + n_rows // ROWS_A_WORKER)
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


_writers: list[Writer] = []  # the one of a worker process


def _start(writer: Writer) -> None:
    torch.set_num_threads(1)
    _writers.append(writer)


def _write(wanted: dict[str, Target]) -> dict[str, Known]:
    return _writers[0].write(wanted, _ignore)


def _ignore(_: int) -> None:
    """Do nothing: the callback where nobody counts steps."""
