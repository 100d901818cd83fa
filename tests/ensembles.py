"""Small ensembles with chosen quality, laid out as the graph's stages leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from hms_pipeline.config import Params, Paths, load_params
from hms_pipeline.config.recipes import compose, write_recipe
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.window import Window
from hms_pipeline.ensemble import stage as ensemble_stage
from hms_pipeline.features import stage as features_stage
from hms_pipeline.features.store import FeatureStore
from hms_pipeline.features.views import build_views
from hms_pipeline.models import build_model
from hms_pipeline.schema import CLASS_LABELS, CLASSES, VOTE_COLUMNS
from hms_pipeline.system.files import hash_file, hash_json
from hms_pipeline.training.finished import read_manifest, write_manifest

ROOT = Path(__file__).parents[1]


def random_window(seed: int, spectrogram: bool = True) -> Window:
    """A window of coloured noise."""
    rng = np.random.default_rng(seed)
    eeg = rng.normal(scale=rng.uniform(5, 60), size=(20, 10_000)).cumsum(axis=1)
    eeg -= np.linspace(0, 1, 10_000) * eeg[:, -1:]
    eeg = (0.05 * eeg + rng.normal(scale=10, size=eeg.shape)).astype(np.float32)
    power = np.exp(rng.normal(scale=2, size=(4, 1, 1)) + rng.normal(size=(4, 100, 300)))
    return Window(eeg, power.astype(np.float32) if spectrogram else None)


class Maker:
    """Writes artifacts under one folder.

    Parameters
    ----------
    root : Path
        Gets ``data``, ``artifacts``, ``params.yaml`` and ``mlruns``.
    n_patients : int
        Each with four windows; patients 0, 1, … are the same whatever their number.
    """

    def __init__(self, root: Path, n_patients: int = 12) -> None:
        self.paths = Paths(root / "data", root / "artifacts", root / "params.yaml")
        root.mkdir(parents=True, exist_ok=True)
        tiny = compose(ROOT / "recipes", "tiny")
        write_recipe(self.paths.params, tiny.model_copy(update={"student": None}))
        self.params: Params = self.with_gate()
        self.grow(n_patients)

    def with_gate(self, **changes: object) -> Params:
        """The recipe with a gate that needs little, but a true gain."""
        params = load_params(self.paths.params)
        gate = params.gate.model_copy(
            update={"max_class_loss": 5.0, "n_bootstrap": 200, "latency_windows": 1, **changes}
        )
        return params.model_copy(update={"gate": gate})

    def grow(self, n_patients: int) -> None:
        """Write recordings, windows, folds and views of so many patients."""
        rows = [row for patient in range(n_patients) for row in self._record(patient)]
        windows = pd.DataFrame(rows)
        self.windows = windows.assign(expert_consensus="Other", **dict.fromkeys(VOTE_COLUMNS, 2))
        self.folds = windows[["label_id", "patient_id"]].assign(fold=windows["patient_id"] % 2)
        for path in (self.paths.windows, self.paths.folds):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.windows.to_parquet(self.paths.windows, index=False)
        self.folds.to_parquet(self.paths.folds, index=False)
        for view in self.params.views:
            features_stage.run(self.paths, self.params, view, workers=1, device="cpu")

    def _record(self, patient: int) -> list[dict]:
        key = 1000 + patient
        for folder in ("train_eegs", "train_spectrograms"):
            (self.paths.data / folder).mkdir(parents=True, exist_ok=True)
        eeg_file = self.paths.data / "train_eegs" / f"{key}.parquet"
        if not eeg_file.exists():
            parts = [random_window(10 * patient + k) for k in range(4)]
            eeg_file.write_bytes(eeg_to_parquet(np.concatenate([p.eeg for p in parts], axis=1)))
            spectrogram = np.concatenate([p.spectrogram for p in parts], axis=2)
            target = self.paths.data / "train_spectrograms" / f"{key}.parquet"
            target.write_bytes(spectrogram_to_parquet(spectrogram))
        return [
            {
                "label_id": 100_000 + 10 * patient + k,
                "patient_id": patient,
                "eeg_id": key,
                "eeg_label_offset_seconds": 50.0 * k,
                "spectrogram_id": key,
                "spectrogram_label_offset_seconds": 600.0 * k,
            }
            for k in range(4)
        ]

    def train(self, seed: int, note: str = "") -> dict[str, np.ndarray]:
        """Write every member's networks with weights drawn by a seed; returns their answers."""
        answers = {}
        views = build_views(self.params)
        for name, member in self.params.members.items():
            torch.manual_seed(seed)
            shapes = [views[view].shape for view in member.views]
            network = build_model(member, shapes, name=name).eval()
            inputs = [
                torch.from_numpy(FeatureStore.open(self.paths.view(view))[self._labels]).float()
                for view in member.views
            ]
            _sharpen(network, inputs)
            with torch.inference_mode():
                answers[name] = network(*inputs).softmax(1).double().numpy()
            for fold in range(self.params.split.n_folds):
                self._write_fold(name, fold, network, answers[name], note)
        return answers

    @property
    def _labels(self) -> np.ndarray:
        return self.windows["label_id"].to_numpy()

    def _write_fold(
        self, name: str, fold: int, network: torch.nn.Module, probs: np.ndarray, note: str
    ) -> None:
        folder = self.paths.fold(name, fold)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(network.state_dict(), folder / "weights.safetensors")
        held_out = (self.folds["fold"] == fold).to_numpy()
        oof = pd.DataFrame(probs[held_out], columns=list(CLASSES))
        oof.insert(0, "label_id", self._labels[held_out])
        oof.to_parquet(folder / "oof.parquet", index=False)
        history = pd.DataFrame({"epoch": [1, 2], "stage": ["stage1", "stage2"], "loss": [1.2, 0.9]})
        history.to_csv(folder / "history.csv", index=False)
        files = {path.name: hash_file(path) for path in folder.glob("[how]*")}
        manifest = {
            "member": name,
            "fold": fold,
            "metrics": {"all": 1.0, ">=10": 0.9},
            "inputs": self._inputs | {"note": note},
            "files": files,
            "content_hash": hash_json([files, note]),
        }
        write_manifest(folder, manifest)

    @property
    def _inputs(self) -> dict[str, str]:
        return {"windows": hash_file(self.paths.windows), "folds": hash_file(self.paths.folds)}

    def vote(self, answers: dict[str, np.ndarray], n_votes: int = 20) -> None:
        """Let the experts vote as these networks answer on average."""
        probs = np.mean(list(answers.values()), axis=0)
        votes = np.round(n_votes * probs).astype(np.int64)
        votes[np.arange(len(votes)), votes.argmax(axis=1)] += n_votes - votes.sum(axis=1)
        self.windows[list(VOTE_COLUMNS)] = votes
        self.windows["expert_consensus"] = np.array(CLASS_LABELS)[votes.argmax(axis=1)]
        self.windows.to_parquet(self.paths.windows, index=False)
        for folder in self.paths.members.glob("*/fold-*"):
            manifest = read_manifest(folder)
            write_manifest(folder, manifest | {"inputs": manifest["inputs"] | self._inputs})

    def blend(self) -> None:
        """Run stage `ensemble`."""
        ensemble_stage.run(self.paths, self.params)

    def ensemble(self, seed: int, note: str = "") -> Maker:
        """Train and blend."""
        self.train(seed, note)
        self.blend()
        return self

    def worst_weights(self, member: str, fold: int) -> None:
        """Plant weights that give no numbers."""
        from safetensors.torch import load_file

        path = self.paths.fold(member, fold) / "weights.safetensors"
        broken = {k: v * float("nan") if v.ndim > 1 else v for k, v in load_file(path).items()}
        save_file(broken, path)
        manifest = read_manifest(path.parent)
        files = manifest["files"] | {path.name: hash_file(path)}
        write_manifest(path.parent, manifest | {"files": files, "content_hash": hash_json(files)})


def _sharpen(network: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Let a network with random weights answer differently from window to window."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(*inputs)
        logits = network.eval()(*inputs)
        scale = 1.5 / logits.std(dim=0).mean()
        last = [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.weight.mul_(scale)
        last.bias.copy_((last.bias - logits.mean(dim=0)) * scale)
