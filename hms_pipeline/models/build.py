"""The catalogue of networks, and a network from a member's parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from ..catalogue import Catalogue
from ..config.members import MemberParams
from ..config.options import checked, options_of
from ..schema import CLASSES
from ..system.errors import InputError

Shape = tuple[int, ...]
Kind = Literal["image", "waves"]
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
    checked(options_of(builder), member.model, f"members.{name}.model")
    try:
        return builder(tuple(map(tuple, shapes)), **member.model)
    except InputError as err:
        raise InputError(f"members.{name}: {err}") from None


def only_view(shapes: Sequence[Shape], kind: Kind, architecture: str) -> Shape:
    """The single shape of an architecture that takes one view, an image or waves."""
    axes = ("channels", "frequencies", "times") if kind == "image" else ("channels", "times")
    if len(shapes) != 1 or len(shapes[0]) != len(axes):
        raise InputError(
            f"{architecture} takes one {kind} view ({', '.join(axes)}), got shapes {list(shapes)}."
            f" Give it one {kind} view."
        )
    return shapes[0]


class Classifier(nn.Module):
    """The encoder of one view, dropout and a linear head."""

    def __init__(self, encoder: Any, drop_rate: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(drop_rate)
        self.head = nn.Linear(encoder.n_features, len(CLASSES))

    def forward(self, view: Tensor) -> Tensor:
        """One view of a batch → logits (batch, 6)."""
        return self.head(self.dropout(self.encoder(view)))
