"""Views and targets of all windows as batches on a device.

Features live on the device when they fit, so that a batch is one gather; otherwise they stay
memory-mapped and a thread reads ahead into pinned memory.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)

_CHUNK = 64  # windows read at a time while features become resident
_READERS = 8  # threads that read them
_AHEAD = 4  # batches read ahead of a mapped store


class Store(Protocol):
    """Features of one view: ``store[label_ids]`` is float16, shape (n, *shape)."""

    def __getitem__(self, label_ids: np.ndarray) -> np.ndarray: ...


@dataclass
class ResidentViews:
    """All windows' features on the device.

    Parameters
    ----------
    tensors : tuple of Tensor, shapes (n_windows, *shape), float16
    """

    tensors: tuple[Tensor, ...]
    resident = True

    def batches(self, order: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """Features of each batch.

        Parameters
        ----------
        order : sequence of array, shape (batch_size,), int
            Positions of the windows of every batch.
        """
        sent = torch.from_numpy(np.concatenate(order).astype(np.int64))
        sent = sent.to(self.tensors[0].device)
        for places in sent.split([len(places) for places in order]):
            yield tuple(tensor.index_select(0, places) for tensor in self.tensors)


@dataclass
class MappedViews:
    """Features in memory-mapped stores, sent to the device batch by batch."""

    stores: tuple[Store, ...]
    label_ids: np.ndarray
    device: torch.device
    resident = False

    def batches(self, order: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, ...]]:
        """As :meth:`ResidentViews.batches`."""
        with ThreadPoolExecutor(1, "read-ahead") as reader:
            waiting = deque(reader.submit(self._read, row) for row in order[:_AHEAD])
            try:
                for row in range(len(order)):
                    views = waiting.popleft().result()
                    if row + _AHEAD < len(order):
                        waiting.append(reader.submit(self._read, order[row + _AHEAD]))
                    yield tuple(view.to(self.device, non_blocking=True) for view in views)
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, places: np.ndarray) -> tuple[Tensor, ...]:
        arrays = (np.ascontiguousarray(store[self.label_ids[places]]) for store in self.stores)
        tensors = (torch.from_numpy(array) for array in arrays)
        if self.device.type == "cuda":
            return tuple(tensor.pin_memory() for tensor in tensors)
        return tuple(tensors)


def load_views(
    stores: Sequence[Store],
    shapes: Sequence[tuple[int, ...]],
    label_ids: np.ndarray,
    device: torch.device,
    resident_fraction: float,
) -> ResidentViews | MappedViews:
    """Put the features of windows on the device if they fit, else leave them on disk.

    Parameters
    ----------
    stores : sequence of Store
        One per view.
    shapes : sequence of tuple of int
        Shape of one window in each.
    label_ids : array, shape (n_windows,)
    device : torch.device
    resident_fraction : float
        They fit when they take at most this share of the device's free memory.
    """
    n_bytes = 2 * len(label_ids) * sum(int(np.prod(shape)) for shape in shapes)
    free = _free_memory(device)
    if n_bytes > resident_fraction * free:
        log.info(
            "Features take %.1f GB, more than %.0f %% of the free %.1f GB on %s: read from disk.",
            n_bytes / 1e9, 100 * resident_fraction, free / 1e9, device,
        )  # fmt: skip
        return MappedViews(tuple(stores), label_ids, device)
    tensors = tuple(
        _load(store, shape, label_ids, device) for store, shape in zip(stores, shapes, strict=True)
    )
    return ResidentViews(tensors)


def _load(
    store: Store, shape: tuple[int, ...], label_ids: np.ndarray, device: torch.device
) -> Tensor:
    features = torch.empty((len(label_ids), *shape), dtype=torch.float16, device=device)

    def copy(start: int) -> None:
        chunk = np.ascontiguousarray(store[label_ids[start : start + _CHUNK]])
        features[start : start + len(chunk)].copy_(torch.from_numpy(chunk))

    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(copy, range(0, len(label_ids), _CHUNK)))
    return features


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def epoch_order(rng: np.random.Generator, places: np.ndarray, batch_size: int) -> np.ndarray:
    """One pass over windows in random order, in whole batches; a remainder sits out this pass.

    Parameters
    ----------
    rng : numpy Generator
    places : array, shape (n,), int
        Positions of the windows, n ≥ batch_size.
    batch_size : int

    Returns
    -------
    order : array, shape (n // batch_size, batch_size), int
    """
    n_batches = len(places) // batch_size
    return rng.permutation(places)[: n_batches * batch_size].reshape(n_batches, batch_size)


def full_batches(places: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Windows in the given order; the last place repeats until the last batch is full."""
    missing = -len(places) % batch_size
    return list(np.pad(places, (0, missing), mode="edge").reshape(-1, batch_size))
