"""What the ensemble's networks say of the windows that a student learns from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..config import Params, Paths
from ..config.paths import FINAL
from ..data.window import Window
from ..data.window_readers import Load, TableReader, read_ahead, window_readers
from ..ensemble.blend import Blend, FittedBlend, apply_blend
from ..ensemble.oof import OutOfFold, read_oof
from ..ensemble.stage import fit
from ..features.compute import compute
from ..features.store import FeatureStore
from ..features.windows import prepare
from ..inference.bundle import PresentBundle
from ..inference.predictor import BATCH_SIZE, Predictor
from ..schema import CLASSES
from ..system.errors import InputError
from ..system.files import SEAL, atomic, hash_bytes, hash_json
from ..system.progress import Progress
from ..training.checkpoint import write_tensors

log = logging.getLogger(__name__)

CHUNK = 128  # windows whose answers are kept in one file
STORED = 64  # windows answered at once where their views are stored: fewer take more time
TASK = 16  # windows that a process reads in one go: those of a few recordings


@dataclass(frozen=True)
class Teacher:
    """The ensemble of the present artifacts.

    Fold k's student is taught by networks that never saw fold k's patients, blended with weights
    that were fitted without them. The final student, which answers, is taught by all networks,
    blended as the ensemble is.

    Parameters
    ----------
    paths : Paths
    params : Params
    oof : OutOfFold
        Of its members, checked by the hashes that their trainings recorded.
    bundle : PresentBundle
        Its networks and blend.
    """

    paths: Paths
    params: Params
    oof: OutOfFold
    bundle: PresentBundle

    @classmethod
    def read(cls, paths: Paths, params: Params) -> Teacher:
        """Read and check what the members' trainings left."""
        return cls(paths, params, read_oof(paths, params), PresentBundle.of(paths, params))

    @cached_property
    def fitted(self) -> FittedBlend:
        """The blend on all windows, with its nested parts."""
        return fit(self.oof, self.params.ensemble)

    @cached_property
    def blends(self) -> dict[int | str, Blend]:
        """Fold, or ``"final"`` → the blend that teaches there; members in the bundle's order."""
        members = tuple(self.bundle.members)
        found: dict[int | str, Blend] = {FINAL: self.bundle.blend}
        for fold in range(self.params.split.n_folds):
            without = fit(self.oof.only(self.oof.folds != fold), self.params.ensemble)
            found[fold] = Blend.from_dict(without.to_dict(), members)
        return found

    def networks(self, fold: int | str) -> dict:
        """Content hashes of the networks that teach a student."""
        members = self.bundle.info["members"].items()
        if fold == FINAL:
            return {name: member["folds"] for name, member in members}
        return {name: member["folds"][str(fold)] for name, member in members}

    def lesson(self, fold: int | str) -> str:
        """Hash of the networks and the blend that teach a student."""
        return hash_json([self.networks(fold), self.blends[fold].to_dict()])

    def answers(
        self, kept: np.ndarray, more: pd.DataFrame, device: str, progress: Progress
    ) -> np.ndarray:
        """Probabilities by every network, shape (n_members, n_folds, n_windows, 6), float32.

        They are written down by chunks under the hash of all that they depend on, so that a
        killed run goes on where it stopped.

        Parameters
        ----------
        kept : array, shape (n_kept,)
            ``label_id`` of windows whose features are stored.
        more : DataFrame
            Windows whose views are computed here; they come last. Those of one recording are
            read together.
        device : str
        progress : callable
        """
        order = np.lexsort([more["eeg_id"], more["spectrogram_id"]])
        more = more.iloc[order]
        windows = [kept.tolist(), more.to_csv(index=False)]
        named = hash_json([self.bundle.content_hash, CHUNK, *windows])
        folder = self.paths.checkpoints / named
        parts = {folder / f"kept-{k}.safetensors": part for k, part in _parts(kept)}
        parts |= {folder / f"more-{k}.safetensors": part for k, part in _parts(more)}
        found = {path: _read(path) for path in parts}
        missing = [path for path, answers in found.items() if answers is None]
        if missing:
            pictures = _Pictures(self, device)
            with window_readers(len(more), "run it again, which keeps what it finished") as readers:
                loads = (pictures.loads(parts[path]) for path in missing)
                for path, read in zip(missing, read_ahead(readers, loads, TASK), strict=True):
                    found[path] = answers = pictures.answers(parts[path], read)
                    _write(path, answers)
                    progress(list(parts).index(path) + 1, len(parts))
        places = np.concatenate([np.arange(len(kept)), len(kept) + order])
        return np.concatenate([*found.values()], axis=2)[:, :, np.argsort(places)]

    def soft_targets(self, answers: np.ndarray, fold: int | str) -> np.ndarray:
        """The teacher's answer for every window, shape (n_windows, 6)."""
        heard = answers.mean(1) if isinstance(fold, str) else answers[:, fold]
        return apply_blend(heard, self.blends[fold])


def _parts(windows: np.ndarray | pd.DataFrame) -> Iterator[tuple[int, np.ndarray | pd.DataFrame]]:
    for first in range(0, len(windows), CHUNK):
        yield first // CHUNK, windows[first : first + CHUNK]


def _write(path: Path, answers: np.ndarray) -> None:
    with atomic(path) as temporary:
        tensors = {"probs": torch.from_numpy(answers)}
        write_tensors(temporary, tensors, {SEAL: hash_bytes(answers.tobytes())})


def _read(path: Path) -> np.ndarray | None:
    """Answers that a killed run left; None where there are none, or not as they were written."""
    try:
        with safe_open(path, "np") as stored:
            answers = stored.get_tensor("probs")
            if hash_bytes(answers.tobytes()) == stored.metadata()[SEAL]:
                return answers
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, TypeError, ValueError) as err:
        log.debug("%s", path, exc_info=err)
    log.warning("%s is not as it was written: the teacher answers again.", path)
    return None


def _whole(window: Window | InputError | OSError) -> Window:
    if isinstance(window, Exception):
        raise window
    return window


class _Pictures:
    """The networks, and the views that they read: from the stores, or computed."""

    def __init__(self, teacher: Teacher, device: str) -> None:
        self.predictor = Predictor.open(teacher.bundle, device=device)
        paths, views = teacher.paths, self.predictor.views
        self.stores = {
            name: FeatureStore.open(paths.view(name), view=view) for name, view in views.items()
        }
        self.reader = TableReader(paths.data, "train")

    def loads(self, windows: np.ndarray | pd.DataFrame) -> list[Load]:
        """What reads the windows whose views are not stored."""
        rows = windows.to_dict("records") if isinstance(windows, pd.DataFrame) else []
        return [partial(self.reader.read, row) for row in rows]

    def answers(
        self, windows: np.ndarray | pd.DataFrame, read: Iterator[Window | InputError | OSError]
    ) -> np.ndarray:
        """By every network, shape (n_members, n_folds, n, 6), float32."""
        predictor = self.predictor
        size = BATCH_SIZE[predictor.device.type] if isinstance(windows, pd.DataFrame) else STORED
        out = []
        for first in range(0, len(windows), size):
            pictures = self._pictures(windows[first : first + size], read)
            found = predictor.answers(pictures, predictor.members)
            stacked = torch.stack([found[name] for name in predictor.members])
            out.append(stacked.float().cpu().numpy())
        return np.ascontiguousarray(
            np.concatenate(out, axis=2).reshape(*out[0].shape[:2], -1, len(CLASSES))
        )

    def _pictures(
        self, windows: np.ndarray | pd.DataFrame, read: Iterator[Window | InputError | OSError]
    ) -> dict[str, Tensor]:
        device = self.predictor.device
        if isinstance(windows, pd.DataFrame):
            batch = [_whole(window) for window in islice(read, len(windows))]
            return compute(self.predictor.views, prepare(batch, device))
        return {
            name: torch.from_numpy(store[windows]).to(device) for name, store in self.stores.items()
        }
