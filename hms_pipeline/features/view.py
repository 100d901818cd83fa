"""What a view is: a function of a batch, with its inputs, rows and parameters declared."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import BaseModel
from torch import Tensor

from ..catalogue import Catalogue, entry_maker
from ..config.options import checked, options_of
from ..config.section import Section
from ..schema import REGIONS
from ..signal.montage import Pair, mirror_of
from ..system.errors import InputError
from .windows import EEG_SHAPE, SPECTROGRAM_SHAPE, WindowBatch

MAX_SIZE = 2**22  # most values that a view may have for one window
Kind = Literal["image", "waves"]


@dataclass(frozen=True)
class View:
    """A named recipe from a window to one network input.

    Parameters
    ----------
    name : str
    inputs : tuple of {"eeg", "spectrogram"}
        What of a window it reads.
    kind : {"image", "waves"}
        Images are (4, H, W): regions, frequency (low first), time. Waves are (rows, n_times).
    rows : tuple of str or pairs of str
        What the first axis holds: regions, or derivations as electrode pairs.
    function : callable
        ``function(batch, **parameters)`` → float32 tensor (B, C, ...).
    parameters : pydantic model
        Made from the function's keyword-only arguments.
    """

    name: str
    inputs: tuple[str, ...]
    kind: Kind
    rows: tuple[str | Pair, ...]
    function: Callable[..., Tensor]
    parameters: type[Section]

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]

    def build(self, params: Mapping[str, Any]) -> BuiltView:
        """Check parameters and bind them.

        Raises
        ------
        InputError
            A parameter is unknown, missing, of a wrong type or out of range, or together they
            make no picture: one sentence with the key's path ``views.<name>.<parameter>``.
        """
        built = BuiltView(self, checked(self.parameters, params, f"views.{self.name}"))
        try:
            if math.prod(built.shape) > MAX_SIZE:
                raise InputError(
                    f"a window needs at most {MAX_SIZE} values, but has {built.shape}. Lower height"
                    " or width."
                )
        except InputError as err:
            raise InputError(f"views.{self.name}: {err}") from None
        except (ValueError, RuntimeError) as err:  # errors of a library that got the parameters
            reason = str(err).rstrip(".")
            raise InputError(
                f"views.{self.name} needs parameters that fit together, but: {reason}. Correct"
                " them."
            ) from None
        return built


class BuiltView:
    """A view with its parameters.

    Parameters
    ----------
    view : View
    values : pydantic model
        Checked parameters.

    Attributes
    ----------
    params : dict
        The parameters as plain JSON-able values.
    shape : tuple of int
        (C, H, W) or (C, n_times).
    mirror, mirror_sign : tuple of int
        Channel i of the left–right mirrored picture is channel ``mirror[i]`` times
        ``mirror_sign[i]``.
    """

    dtype = "float16"

    def __init__(self, view: View, values: BaseModel) -> None:
        self.view = view
        self.params: dict[str, Any] = values.model_dump(mode="json")
        self._arguments = {name: getattr(values, name) for name in type(values).model_fields}
        self.mirror, self.mirror_sign = mirror_of(view.rows)

    @property
    def name(self) -> str:
        """The view's name in the catalogue."""
        return self.view.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the view reads: ``eeg``, ``spectrogram`` or both."""
        return self.view.inputs

    @property
    def kind(self) -> Kind:
        """Waves or pictures."""
        return self.view.kind

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the first axis, such as ``LL`` or ``Fp1-F7``."""
        return tuple(r if isinstance(r, str) else "-".join(r) for r in self.view.rows)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's features."""
        blank = WindowBatch(torch.zeros(1, *EEG_SHAPE), torch.zeros(1, *SPECTROGRAM_SHAPE))
        return tuple(self(blank).shape[1:])

    def __call__(self, batch: WindowBatch) -> Tensor:
        """Compute the view of every window; a constant on an electrode changes nothing.

        Parameters
        ----------
        batch : WindowBatch

        Returns
        -------
        Tensor, shape (B, *shape), float32

        Raises
        ------
        InputError
            The batch lacks an input of the view.
        """
        missing = [name for name in self.inputs if name not in batch.inputs]
        if missing:
            raise InputError(
                f"View {self.name!r} needs the window's {' and '.join(missing)}, but it is absent."
                " Give it, or leave out the members that read this view."
            )
        with torch.no_grad(), full_precision(batch.eeg.device):
            return self.view.function(batch.centred(), **self._arguments)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """True float32 products on a GPU, whatever the caller trains in (no TF32, no autocast)."""
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


VIEWS: Catalogue[View] = Catalogue("view")


def view(
    name: str, *, inputs: Sequence[str], kind: Kind, rows: Sequence[str | Pair] = REGIONS
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register a function as a view; see ``View``.

    The function's keyword-only arguments are its parameters in params.yaml; see
    ``config.options``.
    """

    def make(function: Callable[..., Tensor]) -> View:
        return View(name, tuple(inputs), kind, tuple(rows), function, options_of(function))

    return entry_maker(VIEWS, make, name)
