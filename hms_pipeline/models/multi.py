"""Waves and an image of the same window in one network, joined by a learned gate.

References
----------
Arevalo et al., "Gated Multimodal Units for Information Fusion", ICLR workshop 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..schema import CLASSES
from ..system.errors import InputError
from .build import MODELS, Channels, Factor, Few, Rate, Shape
from .eegnet import WaveEncoder
from .image_encoder import ImageEncoder, Norm


class GatedFusion(nn.Module):
    """Per feature, a weight between two branches that depends on both.

    Parameters
    ----------
    n_first, n_second : int
        Features of the branches.
    n_out : int
    """

    def __init__(self, n_first: int, n_second: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(n_first, n_out), nn.LayerNorm(n_out), nn.SiLU())
        self.second = nn.Sequential(nn.Linear(n_second, n_out), nn.LayerNorm(n_out), nn.SiLU())
        self.gate = nn.Linear(2 * n_out, n_out)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(batch, n_first), (batch, n_second) → (batch, n_out)."""
        first, second = self.first(first), self.second(second)
        gate = torch.sigmoid(self.gate(torch.cat([first, second], 1)))
        return gate * first + (1 - gate) * second


class Multi(nn.Module):
    """Wave and image encoders, gated fusion, dropout and a linear head."""

    def __init__(
        self, waves: WaveEncoder, image: ImageEncoder, fusion: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.waves = waves
        self.encoder = image
        self.fusion = GatedFusion(waves.n_features, image.n_features, fusion)
        self.dropout = nn.Dropout(drop_rate)
        self.head = nn.Linear(fusion, len(CLASSES))

    def forward(self, waves: Tensor, image: Tensor) -> Tensor:
        """(batch, n_chans, n_times), (batch, regions, n_freqs, n_times) → (batch, 6)."""
        fused = self.fusion(self.waves(waves), self.encoder(image))
        return self.head(self.dropout(fused))


@MODELS.register("multi")
def multi(
    shapes: Sequence[Shape],
    *,
    wave_width: Channels = 24,
    hidden: Channels = 128,
    n_blocks: Few = 4,
    pool: Few = 1,
    stride: Few = 2,
    width: Factor = 1.0,
    depth: Factor = 1.0,
    fusion: Channels = 256,
    drop_rate: Rate = 0.2,
    drop_path: Rate = 0.2,
    norm: Norm = "batch",
) -> nn.Module:
    """Build it from waves and an image, in this order.

    ``wave_width, hidden, n_blocks, pool, stride`` are :class:`WaveEncoder`'s; ``width, depth,
    drop_path, norm`` are :class:`ImageEncoder`'s for EfficientNetV2-S.
    """
    if [len(shape) for shape in shapes] != [2, 3]:
        raise InputError(
            f"multi takes waves and an image, in this order, got shapes {list(shapes)}."
            " Give it one waves view, then one image view."
        )
    waves = WaveEncoder(
        shapes[0], width=wave_width, hidden=hidden, n_blocks=n_blocks, pool=pool, stride=stride
    )
    image = ImageEncoder(
        shapes[1], "tf_efficientnetv2_s",
        width=width, depth=depth, drop_path=drop_path, norm=norm,
    )  # fmt: skip
    return Multi(waves, image, fusion, drop_rate)
