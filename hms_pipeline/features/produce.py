"""Values of planned rows: read windows, fill, compute, round; on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.window import WindowReader
from ..system.errors import InputError
from .compute import compute
from .view import BuiltView
from .windows import WindowBatch, prepare

CHUNK = 32  # windows read and computed together


class Producer:
    """Computes the values of rows, in order; several processes share the shards.

    Parameters
    ----------
    root : Path
        The competition folder.
    view : BuiltView
    device : torch.device
    """

    def __init__(self, root: Path, view: BuiltView, device: torch.device) -> None:
        self._view, self._device = view, device
        self._reader = WindowReader(root)

    def values(self, rows: list[dict[str, Any]]) -> Iterator[np.ndarray]:
        """Values of ``rows`` in chunks: arrays (n, *shape), float16.

        Raises
        ------
        InputError
            A recording cannot be read, or gives values that are not finite.
        """
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            batch = self._read(chunk)
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

    def _read(self, chunk: list[dict[str, Any]]) -> WindowBatch:
        read = self._reader.read
        return prepare([read(row, inputs=self._view.inputs) for row in chunk])
