"""Values of planned rows: read windows, fill, compute, round; on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """Computes values of rows, in order; several processes share the shards.

    Parameters
    ----------
    root : Path
        The competition folder.
    views : mapping of str to BuiltView
    device : torch.device
    """

    def __init__(self, root: Path, views: Mapping[str, BuiltView], device: torch.device) -> None:
        self._views, self._device = views, device
        self._reader = WindowReader(root)

    def values(
        self, rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, Sequence[int]]
    ) -> Iterator[tuple[str, list[int], np.ndarray]]:
        """Read each window once and compute the views that want it.

        Parameters
        ----------
        rows : sequence of mapping
            What to read.
        wanted : mapping of str to sequence of int
            View → places in ``rows``.

        Yields
        ------
        view : str
        places : list of int
        values : array, shape (len(places), *shape), float16

        Raises
        ------
        InputError
            A recording cannot be read, or gives values that are not finite.
        """
        chosen = {name: set(places) for name, places in wanted.items() if places}
        inputs = {kind for name in chosen for kind in self._views[name].inputs}
        every = sorted(set().union(*chosen.values()))
        for first in range(0, len(every), CHUNK):
            chunk = every[first : first + CHUNK]
            windows = [self._reader.read(rows[place], inputs=inputs) for place in chunk]
            batch = prepare(windows, self._device)
            for name, places in chosen.items():
                here = [k for k, place in enumerate(chunk) if place in places]
                if here:
                    labels = [rows[chunk[k]]["label_id"] for k in here]
                    values = self._view(name, _part(batch, here), labels)
                    yield name, [chunk[k] for k in here], values

    def _view(self, name: str, batch: WindowBatch, labels: Sequence[int]) -> np.ndarray:
        values = compute({name: self._views[name]}, batch)[name].cpu()
        finite = torch.isfinite(values).flatten(1).all(1)
        if not finite.all():
            raise InputError(
                f"View {name!r} needs finite values, but label_id"
                f" {labels[int(torch.nonzero(~finite)[0])]} gives others. Check its recording, or"
                " its view's parameters."
            )
        return values.numpy()


def _part(batch: WindowBatch, places: list[int]) -> WindowBatch:
    if len(places) == len(batch):
        return batch
    spectrogram = None if batch.spectrogram is None else batch.spectrogram[places]
    return WindowBatch(batch.eeg[places], spectrogram)
