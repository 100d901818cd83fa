"""Simulated experts and members: votes drawn from latent probabilities, noisy predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hms_pipeline.config import Params, Paths
from hms_pipeline.schema import CLASSES, TRAIN_COLUMNS, VOTE_COLUMNS
from hms_pipeline.system.files import hash_file
from hms_pipeline.training.finished import write_manifest

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Panel:
    """Members' predictions (n_members, n_windows, 6), votes, folds and patients of windows."""

    oof: np.ndarray
    votes: np.ndarray
    folds: np.ndarray
    patients: np.ndarray

    @property
    def target(self) -> np.ndarray:
        return self.votes / self.votes.sum(axis=1, keepdims=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


def make_panel(
    n_windows=400, n_folds=5, noise=(0.6, 0.9, 1.2), sharpness=1.0, votes=(10, 20), seed=0
) -> Panel:
    """Members see the latent logits times ``sharpness`` plus noise of their own."""
    rng = np.random.default_rng(seed)
    n_patients = max(n_windows // 4, n_folds)
    patients = rng.integers(0, n_patients, n_windows)
    prior = np.log([0.05, 0.12, 0.15, 0.1, 0.13, 0.45])
    logits = (
        prior + 1.8 * rng.normal(size=(n_windows, 6)) + rng.normal(size=(n_patients, 6))[patients]
    )
    counts = rng.integers(*votes, n_windows)
    drawn = np.stack([rng.multinomial(n, p) for n, p in zip(counts, softmax(logits), strict=True)])
    oof = np.stack([softmax(sharpness * (logits + rng.normal(0, s, logits.shape))) for s in noise])
    return Panel(oof, drawn, patients % n_folds, patients)


def write_artifacts(folder: Path, params: Params, panel: Panel, stages: bool = True) -> Paths:
    """The files the stage reads, rows shuffled so that only label_id can join them."""
    paths = Paths(folder / "data", folder / "artifacts", folder / "params.yaml")
    rng = np.random.default_rng(1)
    n = len(panel.votes)
    label_id = rng.permutation(10 * n)[:n]
    windows = pd.DataFrame({name: np.zeros(n, dtype=int) for name in TRAIN_COLUMNS})
    windows["label_id"], windows["patient_id"] = label_id, panel.patients
    windows[list(VOTE_COLUMNS)] = panel.votes
    paths.validated.mkdir(parents=True)
    windows.sample(frac=1, random_state=1).to_parquet(paths.windows, index=False)
    folds = pd.DataFrame({"label_id": label_id, "patient_id": panel.patients, "fold": panel.folds})
    paths.folds.parent.mkdir(parents=True)
    folds.sample(frac=1, random_state=2).to_parquet(paths.folds, index=False)
    for member, probs in zip(params.members, panel.oof, strict=True):
        for fold in range(params.split.n_folds):
            rows = panel.folds == fold
            frame = pd.DataFrame(probs[rows].astype(np.float32), columns=list(CLASSES))
            frame.insert(0, "label_id", label_id[rows])
            target = paths.fold(member, fold)
            target.mkdir(parents=True)
            frame.sample(frac=1, random_state=fold).to_parquet(target / "oof.parquet", index=False)
            metrics = {"all": 0.5, "1-2": 0.6, "3-9": 0.5, ">=10": 0.4}
            _write_history(target / "history.csv", fold, deciding=panel.votes[rows].sum(axis=1) > 9)
            manifest = {
                "files": {p.name: hash_file(p) for p in target.iterdir()},
                "inputs": {"windows": hash_file(paths.windows), "folds": hash_file(paths.folds)},
            }
            if stages:
                manifest["stages"] = [{"name": s, "metrics": metrics} for s in ("stage1", "stage2")]
            write_manifest(target, manifest)
    return paths


def _write_history(path: Path, fold: int, deciding: np.ndarray) -> None:
    """Three epochs in which the loss falls from 1.2, and KL from 1 by the fold's number."""
    history = pd.DataFrame({"stage": ["stage1", "stage1", "stage2"], "epoch": [1, 2, 3]})
    history["loss"], history["kl_all"] = [1.2, 1.1, 0.9], 1.5
    history["kl_ge_10"] = 1 - 0.1 * fold * history["epoch"] if deciding.any() else np.nan
    history.to_csv(path, index=False)
