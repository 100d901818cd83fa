"""What an augmentation is, and the chain of those a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...catalogue import Catalogue
from ...config.options import checked, options_of

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class ViewInfo:
    """What augmentations need to know of a view.

    Parameters
    ----------
    kind : str
        ``"image"``, shape (4, n_freqs, n_times), or ``"waves"``, shape (n_chans, n_times).
    shape : tuple of int
        Of one window.
    mirror : tuple of int
        Channel that takes each place when left and right are swapped.
    mirror_sign : tuple of float
        Factor of each channel after the swap.
    params : mapping
        The view's own: band, rate and scale say what its values are.
    """

    kind: str
    shape: tuple[int, ...]
    mirror: tuple[int, ...]
    mirror_sign: tuple[float, ...]
    params: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, view: Any) -> ViewInfo:
        """From a built view."""
        sign = getattr(view, "mirror_sign", None)
        sign = (1.0,) * view.shape[0] if sign is None else tuple(map(float, sign))
        return cls(view.kind, tuple(view.shape), tuple(view.mirror), sign, view.params)


class Augmentation:
    """One augmentation; a subclass is registered in ``AUGMENTATIONS``.

    Its keyword-only arguments are its parameters in params.yaml; see ``config.options``.

    Attributes
    ----------
    kinds : tuple of str
        Kinds of view that it changes.
    shared : bool
        One drawing serves all views of a window (they must agree, as in a left–right swap).
    n_columns : int
        Numbers drawn per window.
    """

    kinds: ClassVar[tuple[str, ...]] = ("image", "waves")
    shared: ClassVar[bool] = False
    n_columns: ClassVar[int] = 1

    def __init__(self, *, probability: Share) -> None:
        self.probability = probability

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Parameters, shape (n_batches, batch_size, n_columns), float32."""
        raise NotImplementedError

    def apply(self, x: Tensor, drawn: Tensor, view: ViewInfo) -> Tensor:
        """Change a batch of one view.

        Parameters
        ----------
        x : Tensor, shape (batch_size, *view.shape), float32
        drawn : Tensor, shape (batch_size, n_columns), float32
        view : ViewInfo
        """
        raise NotImplementedError

    def apply_target(self, target: Tensor, drawn: Tensor) -> Tensor:
        """Change the targets, shape (batch_size, 6); most augmentations leave them."""
        return target

    def chosen(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> np.ndarray:
        """Which windows it changes, shape (n_batches, batch_size), bool."""
        return rng.random((n_batches, batch_size)) < self.probability


AUGMENTATIONS: Catalogue[type[Augmentation]] = Catalogue("augmentation")


class Augmenter:
    """The augmentations of a recipe, in the order of their names, for the views of one member.

    Parameters
    ----------
    params : Mapping
        Augmentation → its parameters (params.yaml's ``training.augmentation``).
    views : sequence of ViewInfo

    Raises
    ------
    InputError
        An unknown augmentation or parameter, one missing or out of range.
    """

    def __init__(self, params: Mapping[str, Mapping[str, float]], views: Sequence[ViewInfo]):
        self.views = tuple(views)
        self._plan: list[tuple[Augmentation, tuple[int, ...], slice]] = []
        self.n_columns = 0
        for name, options in sorted(params.items()):
            augmentation = _build(name, options)
            if augmentation.probability > 0:
                self._add(augmentation)

    def _add(self, augmentation: Augmentation) -> None:
        places = [i for i, view in enumerate(self.views) if view.kind in augmentation.kinds]
        groups = [tuple(places)] if augmentation.shared else [(i,) for i in places]
        for group in filter(None, groups):
            columns = slice(self.n_columns, self.n_columns + augmentation.n_columns)
            self._plan.append((augmentation, group, columns))
            self.n_columns = columns.stop

    def draw(self, rng: np.random.Generator, n_batches: int, batch_size: int) -> Tensor:
        """Parameters of whole batches, shape (n_batches, batch_size, n_columns), float32."""
        drawn = np.zeros((n_batches, batch_size, self.n_columns), np.float32)
        for augmentation, _, columns in self._plan:
            drawn[:, :, columns] = augmentation.draw(rng, n_batches, batch_size)
        return torch.from_numpy(drawn)

    def apply(
        self, views: Sequence[Tensor], target: Tensor, drawn: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Change one batch.

        Parameters
        ----------
        views : sequence of Tensor, shapes (batch_size, *shape), float32
        target : Tensor, shape (batch_size, 6)
        drawn : Tensor, shape (batch_size, n_columns)
        """
        views = list(views)
        for augmentation, places, columns in self._plan:
            for i in places:
                views[i] = augmentation.apply(views[i], drawn[:, columns], self.views[i])
            target = augmentation.apply_target(target, drawn[:, columns])
        return views, target


def _build(name: str, options: Mapping[str, float]) -> Augmentation:
    kind = AUGMENTATIONS[name]
    checked(options_of(kind.__init__), options, f"training.augmentation.{name}")
    return kind(**options)
