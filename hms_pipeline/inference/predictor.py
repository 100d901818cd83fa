"""Windows → probabilities: the one way in which everything scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..data.window import Window
from ..ensemble.blend import apply_blend
from ..features.compute import compute
from ..features.view import BuiltView
from ..features.views import build_views
from ..features.windows import prepare
from ..models import build_model
from ..schema import CLASSES
from ..system.compiler import without_compiler
from ..system.device import choose_device
from ..system.errors import InputError
from ..system.files import hash_json
from .bundle import Bundle, read_bundle
from .checks import check_window
from .networks import FoldGroup, GraphPool, Undrawn, with_weights

T = TypeVar("T")
BATCH_SIZE = {"cpu": 8, "cuda": 64}  # bounds the memory; larger ones gain nothing


@dataclass(frozen=True)
class Scores:
    """Answers for n windows.

    Parameters
    ----------
    probs : array, shape (n, 6)
        Rows sum to 1; classes in ``schema.CLASSES`` order.
    member_probs : array, shape (n_members, n, 6)
        Means over folds; NaN where a member was left out.
    members : tuple of str
        Names of the first axis.
    members_used : list of tuple of str
        Per window.
    warnings : list of tuple of str
        Per window: what was missing, and what was done about it.
    """

    probs: np.ndarray
    member_probs: np.ndarray
    members: tuple[str, ...]
    members_used: list[tuple[str, ...]]
    warnings: list[tuple[str, ...]]


class Predictor:
    """An ensemble ready to answer. Threads may share it.

    Parameters
    ----------
    bundle : Bundle
    views : dict of str to BuiltView
    groups : dict of str to FoldGroup
        Member → its networks.
    device : torch.device
    folds : tuple of int
        Whose networks the groups hold.
    content_hash : str
        Of what it answers with; other members or folds, another hash.

    Notes
    -----
    Each view is computed once per batch for all members that read it, rounded to float16 as in
    the store that training read.
    """

    def __init__(
        self,
        bundle: Bundle,
        views: dict[str, BuiltView],
        groups: dict[str, FoldGroup],
        device: torch.device,
        folds: tuple[int, ...],
        content_hash: str,
    ) -> None:
        self.bundle, self.views, self.groups, self.device = bundle, views, groups, device
        self.folds, self.content_hash = folds, content_hash
        self.members = tuple(bundle.members)
        self.inputs = {name: tuple(bundle.members[name].views) for name in groups}
        self._blend = bundle.blend
        self._max_abs_uv = bundle.params.scoring.max_abs_uv
        self._left_out = bundle.params.validation
        self._with = tuple(groups)
        self._without = tuple(
            name
            for name, names in self.inputs.items()
            if not any("spectrogram" in views[view].inputs for view in names)
        )

    @classmethod
    def open(
        cls,
        bundle: Path | Bundle,
        *,
        device: str = "auto",
        members: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
    ) -> Predictor:
        """Load networks.

        Parameters
        ----------
        bundle : Path or Bundle
            The bundle's folder, or what was read of it.
        device : str
            ``"auto"``, ``"cpu"`` or ``"cuda[:N]"``.
        members : sequence of str, optional
            Only these; the weights are renormalised.
        folds : sequence of int, optional
            Only the networks of these folds, for windows that no others may see.

        Raises
        ------
        InputError
            No bundle, or unknown members or folds.
        """
        content = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
        chosen = _choose(members, tuple(content.members), "members")
        folds = _choose(folds, content.folds, "folds")
        place = choose_device(device)
        names = dict.fromkeys(view for name in chosen for view in content.members[name].views)
        views = build_views(content.params, names)
        pool = GraphPool(place)
        groups = {name: _load_group(content, name, folds, views, pool) for name in chosen}
        whole = chosen == tuple(content.members) and folds == content.folds
        content_hash = (
            content.content_hash if whole else hash_json([content.content_hash, chosen, folds])
        )
        return cls(content, views, groups, place, folds, content_hash)

    def only(self, folds: Sequence[int]) -> Predictor:
        """The same ensemble by the networks of some folds, sharing what is loaded."""
        there = self.folds
        folds = _choose(folds, there, "folds")
        groups = {
            name: group.only([there.index(fold) for fold in folds])
            for name, group in self.groups.items()
        }
        content_hash = hash_json([self.content_hash, folds])
        return Predictor(self.bundle, self.views, groups, self.device, folds, content_hash)

    def predict(self, windows: Sequence[Window], *, batch_size: int | None = None) -> Scores:
        """Score windows.

        Parameters
        ----------
        windows : sequence of Window
            May be lazy: items are taken one batch at a time.
        batch_size : int, optional
            Windows on the device at once.

        Raises
        ------
        InputError
            A window cannot be scored; the sentence names its row and column.
        RuntimeError
            A network gave no finite probabilities.
        """
        size = batch_size or BATCH_SIZE[self.device.type]
        parts = [
            self._score(
                [windows[row] for row in range(first, min(first + size, len(windows)))], first
            )
            for first in range(0, len(windows), size)
        ]
        if not parts:
            raise InputError("Scoring needs at least one window, but got none. Give some.")
        return Scores(
            np.concatenate([part.probs for part in parts]),
            np.concatenate([part.member_probs for part in parts], axis=1),
            self.members,
            [used for part in parts for used in part.members_used],
            [said for part in parts for said in part.warnings],
        )

    @torch.inference_mode()
    def _score(self, windows: Sequence[Window], first: int) -> Scores:
        checked, warnings = zip(
            *(
                check_window(
                    window,
                    first + row,
                    self._max_abs_uv,
                    self._left_out,
                    reads_spectrogram=self._with != self._without,
                )
                for row, window in enumerate(windows)
            ),
            strict=True,
        )
        has = np.array([window.spectrogram is not None for window in checked])
        if not self._without and not has.all():
            raise InputError(
                f"Row {first + int(has.argmin())}, column spectrogram: every member of this model"
                " needs the ten-minute spectrogram, but it is absent. Send it."
            )
        member_probs = np.full((len(self.members), len(windows), len(CLASSES)), np.nan)
        for kind, names in ((True, self._with), (False, self._without)):
            rows = np.flatnonzero(has == kind)
            if not len(rows):
                continue
            views = {view: self.views[view] for name in names for view in self.inputs[name]}
            batch = prepare([checked[row] for row in rows], self.device)
            for name, probs in self.answers(compute(views, batch), names).items():
                member_probs[self.members.index(name), rows] = probs.mean(0).double().cpu().numpy()
        left_out = [name for name in self._with if name not in self._without]
        said = [
            (*warning, f"left out: {', '.join(left_out)}") if left_out and not present else warning
            for warning, present in zip(warnings, has, strict=True)
        ]
        used = [self._with if present else self._without for present in has]
        return Scores(
            apply_blend(member_probs, self._blend), member_probs, self.members, used, said
        )

    @torch.inference_mode()
    def answers(self, pictures: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
        """What every network of some members says.

        Parameters
        ----------
        pictures : mapping of str to Tensor, shape (B, *shape)
            Views that the members read, on the predictor's device.
        names : sequence of str

        Returns
        -------
        dict of str to Tensor, shape (n_folds, B, 6)
            Probabilities.

        Raises
        ------
        RuntimeError
            They are not finite.
        """
        pictures = {view: picture.float() for view, picture in pictures.items()}
        inputs = {name: [pictures[view] for view in self.inputs[name]] for name in names}
        found = {name: self.groups[name](views) for name, views in inputs.items()}
        for name, views in inputs.items():
            if not torch.isfinite(found[name]).all():
                found[name] = self.groups[name].exactly(views)
            if not torch.isfinite(found[name]).all():
                raise RuntimeError(f"Member {name!r} gives probabilities that are not finite.")
        return found


def _choose(wanted: Sequence[T] | None, there: tuple[T, ...], what: str) -> tuple[T, ...]:
    if wanted is None:
        return there
    unknown = sorted(set(wanted) - set(there), key=str)
    if unknown or not wanted:
        raise InputError(f"Unknown {what} {unknown}. Choose one of {list(there)}.")
    return tuple(item for item in there if item in set(wanted))


def _load_group(
    bundle: Bundle, name: str, folds: Sequence[int], views: dict[str, BuiltView], pool: GraphPool
) -> FoldGroup:
    shapes = [views[view].shape for view in bundle.members[name].views]
    networks = load_networks(bundle, name, folds, views, pool.device)
    return FoldGroup(networks, shapes, pool)


def load_networks(
    bundle: Bundle,
    name: str,
    folds: Sequence[int],
    views: dict[str, BuiltView],
    device: torch.device,
) -> list[nn.Module]:
    """A member's trained networks, in evaluation mode, float32.

    Raises
    ------
    InputError
        The bundle lacks one.
    """
    member = bundle.members[name]
    # Built once, without memory: drawing random weights takes longer than reading trained ones.
    with without_compiler(), torch.device("meta"), Undrawn():
        blank = build_model(member, [views[view].shape for view in member.views], name=name)
    blank.eval()
    return [_trained(blank, bundle.weights(name, fold), device) for fold in folds]


def _trained(blank: nn.Module, path: Path, device: torch.device) -> nn.Module:
    if not path.exists():
        raise InputError(
            f"weights/{path.parent.name}/{path.name} is needed, but the model lacks it. Use"
            " another version, or register again."
        )
    # Copied: a tensor that safetensors maps from the file would change with it.
    weights = {key: _float32(value) for key, value in load_file(path, device=str(device)).items()}
    shapes = {key: value.shape for key, value in blank.state_dict().items()}
    if {key: value.shape for key, value in weights.items()} != shapes:
        raise InputError(
            f"weights/{path.parent.name}/{path.name} must fit the member's network, but has other"
            " tensors. Use another version, or register again."
        )
    return with_weights(blank, weights)


def _float32(value: Tensor) -> Tensor:
    return value.to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)
