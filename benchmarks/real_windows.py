"""How models read real windows: KL, the voted class found, and the probability given to it.

    python -m benchmarks.real_windows FOLDER                         # the starter
    python -m benchmarks.real_windows FOLDER --model starter --model champion --model student

The folder holds windows of 50 s as parquet files (columns as in ``schema.EEG_COLUMNS``,
microvolts, 200 Hz) and a ``labels.csv`` with an ``id``, votes per class and, where somebody gives
them, SPaRCNet's probabilities. Nothing of them is written anywhere, and no choice may rest on what
is printed: a few windows say little. Each member of an ensemble stands in a line of its own; one
that needs the ten-minute spectrogram gets that of no recording, and is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hms_pipeline.config import Paths
from hms_pipeline.data.recording import read_eeg
from hms_pipeline.data.window import Window
from hms_pipeline.datasets.targets import votes_to_target
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.registry import scoring
from hms_pipeline.registry.choice import choose
from hms_pipeline.schema import CLASSES, VOTE_COLUMNS
from hms_pipeline.training.metrics import kl_divergence

SPARCNET = [f"sparcnet_p_{name}" for name in CLASSES]


def read_windows(folder: Path) -> tuple[pd.DataFrame, list[Window]]:
    """Labels, and the windows that are there for them."""
    labels = pd.read_csv(folder / "labels.csv")
    paths = [folder / f"{name}.parquet" for name in labels["id"]]
    return labels, [Window(read_eeg(path), None) for path in paths]


def open_model(model: str) -> tuple[str, Predictor]:
    """A model as ``hms score --model`` names it, and what it is called."""
    chosen = choose(Paths(), model)
    if chosen.folder is not None:
        return chosen.name, scoring.open_bundle(chosen.folder, device="cpu")
    version, predictor = scoring.open_predictor(chosen.paths, chosen.version, device="cpu")
    return f"{chosen.name} version {version}", predictor


def answers(models: list[str], windows: list[Window]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and probabilities, shape (n, 6), of each model and each member that could answer."""
    for model in models:
        name, predictor = open_model(model)
        scores = predictor.predict(windows)
        yield name, scores.probs
        if len(scores.members) > 1:
            for member, probs in zip(scores.members, scores.member_probs, strict=True):
                if np.isfinite(probs).all():
                    yield f"– {member}", probs


def line(name: str, target: np.ndarray, probs: np.ndarray) -> str:
    """One row of the table."""
    voted = target.argmax(axis=1)
    found = int((probs.argmax(axis=1) == voted).sum())
    given = probs[np.arange(len(voted)), voted].mean()
    said = "" if np.ptp(probs) == 0 else f"{found} of {len(voted)}"
    return f"| {name} | {kl_divergence(target, probs):.3f} | {said} | {given:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", help="as hms score's; default: starter")
    args = parser.parse_args()
    labels, windows = read_windows(args.folder)
    target = votes_to_target(labels[list(VOTE_COLUMNS)].to_numpy())
    print("| | KL, nats | voted class leads | mean probability of it |\n|---|---|---|---|")
    print(line("uniform", target, np.full_like(target, 1 / len(CLASSES))))
    if set(SPARCNET) <= set(labels):
        print(line("SPaRCNet", target, labels[SPARCNET].to_numpy(float)))
    for name, probs in answers(args.model or ["starter"], windows):
        print(line(name, target, probs), flush=True)


if __name__ == "__main__":
    main()
