"""EfficientNetV2-S on one image view.

References
----------
Tan & Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .build import MODELS, Factor, Rate, Shape
from .image_encoder import Norm, classifier


@MODELS.register("efficientnet_v2s")
def efficientnet_v2s(
    shapes: Sequence[Shape],
    *,
    width: Factor = 1.0,
    depth: Factor = 1.0,
    drop_rate: Rate = 0.2,
    drop_path: Rate = 0.2,
    norm: Norm = "batch",
) -> nn.Module:
    """Build it; parameters as in :class:`ImageEncoder`, ``drop_rate`` before the head."""
    return classifier(
        shapes, "efficientnet_v2s", "tf_efficientnetv2_s", drop_rate,
        width=width, depth=depth, drop_path=drop_path, norm=norm,
    )  # fmt: skip
