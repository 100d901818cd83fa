"""EfficientNet-B4 on one image view.

References
----------
Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .build import MODELS, Factor, Rate, Shape
from .image_encoder import Norm, classifier


@MODELS.register("efficientnet_b4")
def efficientnet_b4(
    shapes: Sequence[Shape],
    *,
    width: Factor = 1.0,
    depth: Factor = 1.0,
    drop_rate: Rate = 0.4,
    drop_path: Rate = 0.2,
    norm: Norm = "batch",
) -> nn.Module:
    """Build it; parameters as in :class:`ImageEncoder`, ``drop_rate`` before the head."""
    return classifier(
        shapes, "efficientnet_b4", "efficientnet_b4", drop_rate,
        width=width, depth=depth, drop_path=drop_path, norm=norm,
    )  # fmt: skip
