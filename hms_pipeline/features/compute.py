"""Views of a batch, in the very values that the store keeps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .view import BuiltView
from .windows import WindowBatch


def compute(views: Mapping[str, BuiltView], batch: WindowBatch) -> dict[str, Tensor]:
    """Compute views as training saw them: rounded to float16.

    On a CPU each window is computed by itself, so that its values depend neither on the batch
    nor on its neighbours.

    Parameters
    ----------
    views : mapping of str to BuiltView
    batch : WindowBatch

    Returns
    -------
    dict of str to Tensor, shape (B, *shape), float16
        On the batch's device.
    """
    batches = batch.split(1) if batch.eeg.device.type == "cpu" else [batch]
    return {
        name: torch.cat([built(part).to(torch.float16) for part in batches])
        for name, built in views.items()
    }
