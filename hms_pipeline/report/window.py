"""What a page shows of one window: traces, probabilities, spectrogram, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ensemble.metrics import disagreement
from ..schema import ACNS_NAMES
from ..scoring.explain import STRETCH_S, Explanation
from ..scoring.notable import NotableWindow
from .montage import packed
from .spectrogram import spectrogram_images
from .style import REGION_NAMES

STRONG_DISAGREEMENT = 0.25  # nats
TELLING = 0.02  # smaller changes of the probability are not mentioned


def window_context(
    window: NotableWindow, members: Sequence[str], explanation: Explanation | None = None
) -> dict[str, Any]:
    """What template and viewer need of one window.

    Parameters
    ----------
    window : NotableWindow
    members : sequence of str
        Names of the rows of ``member_probs``.
    explanation : Explanation, optional
    """
    member_probs = np.asarray(window.member_probs, dtype=float)
    present = np.isfinite(member_probs).all(axis=1)
    names = [str(m) for m in members] or [str(i) for i in range(len(member_probs))]
    spread = float(disagreement(member_probs[:, None])[0])
    return {
        "reason": window.reason,
        "probs": np.asarray(window.probs, dtype=float).tolist(),
        "members": [
            {"name": name, "probs": row.tolist()}
            for name, row, here in zip(names, member_probs, present, strict=True)
            if here
        ],
        "absent": [name for name, here in zip(names, present, strict=True) if not here],
        "disagreement": spread,
        "disagreement_word": ", which is much" if spread > STRONG_DISAGREEMENT else "",
        "spectrogram": spectrogram_images(window.window.spectrogram),
        "why": explanation and _why(explanation),
        "drawing": {
            **packed(window.window.eeg),
            "start_s": float(window.start_s),
            "why": explanation and _marks(explanation),
        },
    }


def _marks(explanation: Explanation) -> dict[str, Any]:
    """What the viewer draws: changes by the montage's groups and by stretches."""
    return {
        "regions": {name: round(drop, 4) for name, drop in _regions(explanation).items()},
        "stretches": np.round(explanation.stretches, 4).tolist(),
        "stretch_s": STRETCH_S,
    }


def _why(explanation: Explanation) -> dict[str, Any]:
    """The same in words."""
    name = ACNS_NAMES[explanation.class_index]
    stretches = {
        f"{k * STRETCH_S:g}–{(k + 1) * STRETCH_S:g} s": drop
        for k, drop in enumerate(explanation.stretches.tolist())
    }
    return {
        "of": name,
        "prob": explanation.prob,
        "regions": _most(_regions(explanation), explanation.prob),
        "stretches": _most(stretches, explanation.prob),
        "n_scored": explanation.n_scored,
        "seconds": explanation.seconds,
    }


def _regions(explanation: Explanation) -> dict[str, float]:
    return {REGION_NAMES.get(name, name): drop for name, drop in explanation.regions.items()}


def _most(drops: dict[str, float], prob: float) -> list[tuple[str, float]]:
    """The largest changes first: what was masked, and the probability without it."""
    ranked = sorted(drops.items(), key=lambda item: -abs(item[1]))[:3]
    return [(name, prob - drop) for name, drop in ranked if abs(drop) >= TELLING]
