"""Values of planned rows: read windows, fill, compute, round; on a CPU or a GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.window import WindowReader
from ..schema import InputError
from .compute import compute
from .view import BuiltView
from .windows import WindowBatch, prepare

CHUNK = 32  # windows read and computed together


class Producer:
    """Computes the values of rows, in order.

    On a GPU, threads read ahead while it computes; on a CPU everything happens in turn, and
    several processes share the shards instead.

    Parameters
    ----------
    root : Path
        The competition folder.
    view : BuiltView
    device : torch.device
    readers : int
        Threads that read ahead; 0 reads in turn.
    """

    def __init__(self, root: Path, view: BuiltView, device: torch.device, readers: int = 0):
        self._root, self._view, self._device, self._readers = root, view, device, readers
        self._local = threading.local()

    def values(self, rows: list[dict[str, Any]]) -> Iterator[np.ndarray]:
        """Values of ``rows`` in chunks: arrays (n, *shape), float16.

        Raises
        ------
        InputError
            A recording cannot be read, or gives values that are not finite.
        """
        chunks = [rows[k : k + CHUNK] for k in range(0, len(rows), CHUNK)]
        for chunk, batch in zip(chunks, self._batches(chunks), strict=True):
            moved = WindowBatch(
                batch.eeg.to(self._device),
                None if batch.spectrogram is None else batch.spectrogram.to(self._device),
            )
            values = compute({self._view.name: self._view}, moved)[self._view.name].cpu()
            finite = torch.isfinite(values).flatten(1).all(1)
            if not finite.all():
                label = chunk[int(torch.nonzero(~finite)[0])]["label_id"]
                raise InputError(
                    f"View {self._view.name!r} needs finite values, but label_id {label} gives"
                    " others. Check its recording, or its view's parameters."
                )
            yield values.numpy()

    def _batches(self, chunks: list[list[dict[str, Any]]]) -> Iterator[WindowBatch]:
        if not self._readers:
            yield from map(self._read, chunks)
            return
        with ThreadPoolExecutor(self._readers) as pool:
            waiting = iter(chunks)
            ahead = [pool.submit(self._read, c) for c in islice(waiting, 2 * self._readers)]
            while ahead:
                batch = ahead.pop(0).result()
                ahead += [pool.submit(self._read, chunk) for chunk in islice(waiting, 1)]
                yield batch

    def _read(self, chunk: list[dict[str, Any]]) -> WindowBatch:
        if not hasattr(self._local, "reader"):
            self._local.reader = WindowReader(self._root)
        read = self._local.reader.read
        return prepare([read(row, inputs=self._view.inputs) for row in chunk])
