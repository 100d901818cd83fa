"""An EfficientNet of timm over the four regions of an image view."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from ..system.errors import InputError
from .build import Classifier, Shape, only_view

Norm = Literal["batch", "group"]


class ImageEncoder(nn.Module):
    """Image view → pooled features.

    Parameters
    ----------
    shape : tuple of int
        (4 regions, n_freqs, n_times).
    trunk : str
        Name in timm.
    width, depth : float
        Multipliers of timm's own width and depth; 1 is timm's own network, for which
        pretrained weights exist.
    drop_path : float
        Stochastic depth rate of the last block.
    norm : str
        ``"batch"``, or ``"group"`` (groups of 8 channels) for scaled versions that are trained
        in a few hundred steps, in which batch statistics do not settle.

    Attributes
    ----------
    n_features : int
    """

    def __init__(
        self,
        shape: Shape,
        trunk: str,
        *,
        width: float,
        depth: float,
        drop_path: float,
        norm: Norm = "batch",
    ) -> None:
        from timm.layers import GroupNormAct  # timm loads torchvision and more, for seconds

        super().__init__()
        self.trunk_name = trunk
        self.scaled = (width, depth) != (1, 1)
        options: dict[str, Any] = {
            "in_chans": shape[0],
            "num_classes": 0,
            "drop_path_rate": drop_path,
        }
        if norm == "group":
            if not self.scaled:
                raise InputError(
                    "model.norm 'group' needs a scaled network, got width and depth 1, whose"
                    " pretrained weights are of batch norm. Scale it or take norm 'batch'."
                )
            options["norm_layer"] = partial(GroupNormAct, group_size=8)
        elif self.scaled and trunk.startswith("tf_"):
            options["bn_eps"] = 1e-3  # as timm's own version of it
        self.trunk = _build_trunk(trunk, width, depth, options)
        self.n_features: int = self.trunk.num_features

    def forward(self, image: Tensor) -> Tensor:
        """(batch, regions, n_freqs, n_times) → (batch, n_features)."""
        return self.trunk(image)


def _build_trunk(name: str, width: float, depth: float, options: dict[str, Any]) -> Any:
    import timm
    from timm.models.efficientnet import _gen_efficientnet, _gen_efficientnetv2_s

    if (width, depth) == (1, 1):
        return timm.create_model(name, **options)
    scaled = {  # builder of scaled versions, own width and depth multipliers
        "tf_efficientnetv2_s": (partial(_gen_efficientnetv2_s, name, pad_type="same"), 1.0, 1.0),
        "efficientnet_b4": (partial(_gen_efficientnet, name), 1.4, 1.8),
    }
    build, own_width, own_depth = scaled[name]
    return build(
        channel_multiplier=own_width * width, depth_multiplier=own_depth * depth, **options
    )


def classifier(
    shapes: Sequence[Shape], architecture: str, trunk: str, drop_rate: float, **options: Any
) -> Classifier:
    """The architecture of one image view, by its trunk's name in timm; see ``ImageEncoder``."""
    encoder = ImageEncoder(only_view(shapes, "image", architecture), trunk, **options)
    return Classifier(encoder, drop_rate)
