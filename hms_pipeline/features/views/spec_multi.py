"""The ten-minute spectrogram at several durations."""

from __future__ import annotations

import torch
from torch import Tensor

from ...schema import SPECTROGRAM_STEP_S
from ...system.errors import InputError
from ..picture import LogScale, Pixels, Stretch, Stretches, central, resize
from ..view import view
from ..windows import WindowBatch


def spectrogram_pictures(
    spectrogram: Tensor | None, parts: tuple[Stretch, ...], height: int, scale: LogScale
) -> list[Tensor]:
    """Central stretches of the ten minutes, each resized to its width."""
    if spectrogram is None:
        raise InputError("This view needs the ten-minute spectrogram, but there is none. Give it.")
    drawn = scale(spectrogram)
    rows = [_n_rows(part) for part in parts]
    pairs = zip(rows, parts, strict=True)
    return [resize(central(drawn, n), height, part.width) for n, part in pairs]


def _n_rows(part: Stretch) -> int:
    if part.duration_s < SPECTROGRAM_STEP_S:
        raise InputError(
            f"duration_s needs at least {SPECTROGRAM_STEP_S:g} s, one row of the spectrogram, but"
            f" is {part.duration_s:g}. Lengthen it."
        )
    return round(part.duration_s / SPECTROGRAM_STEP_S)


@view("spec_multi", inputs=("spectrogram",), kind="image")
def spec_multi(batch: WindowBatch, *, parts: Stretches, height: Pixels, scale: LogScale) -> Tensor:
    """The spectrogram's central stretches (such as 10 min, 4 min and 1 min), side by side."""
    return torch.cat(spectrogram_pictures(batch.spectrogram, parts, height, scale), -1)
