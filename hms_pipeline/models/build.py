"""The catalogue of networks, and a network from a member's parameters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from ..catalogue import Catalogue
from ..config.members import MemberParams
from ..schema import CLASSES
from ..system.errors import InputError

Shape = tuple[int, ...]
# Types of options, with what a network may ask for.
Factor = Annotated[float, Field(gt=0, le=4)]  # of a published network's width or depth
Channels = Annotated[int, Field(ge=1, le=2048)]
Few = Annotated[int, Field(ge=1, le=64)]
Rate = Annotated[float, Field(ge=0, lt=1)]
MODELS: Catalogue[Callable[..., nn.Module]] = Catalogue("architecture")


def build_model(
    member: MemberParams, shapes: Sequence[Shape], *, name: str = "<member>"
) -> nn.Module:
    """Build a member's network with random weights.

    Parameters
    ----------
    member : MemberParams
    shapes : sequence of tuple of int
        Shape of one window in each of the member's views: (n_chans, n_freqs, n_times) for an
        image, (n_chans, n_times) for waves.
    name : str
        The member's name, for error sentences.

    Raises
    ------
    InputError
        Unknown architecture, unknown option or one of a wrong type or value, views that the
        architecture does not take.
    """
    builder = MODELS[member.architecture]
    _check_options(builder, member.model, f"members.{name}.model")
    try:
        return builder(tuple(map(tuple, shapes)), n_outputs=len(CLASSES), **member.model)
    except InputError as err:
        raise InputError(f"members.{name}: {err}") from None


def _check_options(builder: Callable[..., nn.Module], options: dict, where: str) -> None:
    hints = typing.get_type_hints(builder, include_extras=True)
    accepted = {
        key: hints[key]
        for key, parameter in inspect.signature(builder).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and key != "n_outputs"
    }
    for key, value in options.items():
        if key not in accepted:
            raise InputError(f"{where} has no option {key!r}. Choose one of {sorted(accepted)}.")
        try:
            TypeAdapter(accepted[key]).validate_python(value, strict=True)
        except ValidationError as err:
            said = err.errors()[0]["msg"]
            raise InputError(f"{where}.{key}: {said}, but is {value!r}. Correct it.") from None


def only_image(shapes: Sequence[Shape], architecture: str) -> Shape:
    """The single image shape that an architecture takes."""
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise InputError(
            f"{architecture} takes one image view (channels, frequencies, times), got shapes"
            f" {list(shapes)}. Give it one image view."
        )
    return shapes[0]


def only_waves(shapes: Sequence[Shape], architecture: str) -> Shape:
    """The single waves shape that an architecture takes."""
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise InputError(
            f"{architecture} takes one view of waves (channels, times), got shapes"
            f" {list(shapes)}. Give it one waves view."
        )
    return shapes[0]
