"""A stand-in for the ensemble: the same interface, answers that follow from the signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from hms_pipeline.config.scoring import ScoringParams
from hms_pipeline.data.window import Window
from hms_pipeline.schema import DOUBLE_BANANA, EEG_COLUMNS
from hms_pipeline.system.errors import InputError
from tests.recipes import recipe

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "real"


def scoring(**changes: object) -> ScoringParams:
    """The tiny recipe's section, changed."""
    return recipe("tiny").scoring.model_copy(update=changes)


@dataclass
class Scorer:
    """Two members: one reads bipolar amplitudes, the other the spectrogram."""

    members: tuple[str, ...] = ("eegnet", "v2s-spec")
    content_hash: str = "0" * 64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batches: list[int] = field(default_factory=list)
    stop_after: int | None = None

    def predict(self, windows: Sequence[Window], *, batch_size: int | None = None):
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(len(windows))
        probs = np.full((2, len(windows), 6), np.nan)
        for k, window in enumerate(windows):
            if not np.isfinite(window.eeg[:19]).any() or np.nanstd(window.eeg[:19]) == 0:
                raise InputError(f"Row {k}, column eeg: needs a signal. Leave this window out.")
            probs[0, k] = softmax(eeg_logits(window.eeg))
            if window.spectrogram is not None:
                probs[1, k] = softmax(spectrogram_logits(window.spectrogram))
        present = [
            tuple(np.array(self.members)[~np.isnan(probs[:, k, 0])]) for k in range(len(windows))
        ]
        return SimpleNamespace(
            probs=np.nanmean(probs, axis=0),
            member_probs=probs,
            members=self.members,
            members_used=present,
            warnings=[() if len(used) == 2 else ("no spectrogram",) for used in present],
        )


def eeg_logits(eeg: np.ndarray) -> np.ndarray:
    """Log amplitude of six groups of three derivations; a common reference cancels."""
    plus = [EEG_COLUMNS.index(a) for a, _ in DOUBLE_BANANA]
    minus = [EEG_COLUMNS.index(b) for _, b in DOUBLE_BANANA]
    waves = np.nan_to_num(eeg[plus] - eeg[minus])
    return np.log1p(waves.std(axis=1)).reshape(6, 3).mean(axis=1)


def spectrogram_logits(spectrogram: np.ndarray) -> np.ndarray:
    """Log power of four regions and two bands."""
    logs = np.log1p(np.nan_to_num(spectrogram))
    return np.r_[logs.mean(axis=(1, 2)), logs[:, :20].mean(), logs[:, 20:].mean()]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of six logits."""
    values = np.exp(logits - logits.max())
    return values / values.sum()
