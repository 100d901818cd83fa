"""Which sources of variation a network needs: train without one, test on all of them.

    python -m benchmarks.transfer                                   # every source, demo-sized
    python -m benchmarks.transfer --patients 200 --sources amplifier cycles --member eegnet
    python -m benchmarks.transfer --patients 12 --test-patients 8 --epochs 1 --sources cycles

For each source a set of the same patients is simulated without it (``sample.leave_out``), the
member of the recipe is trained on it by ``training.fit``, and predicts other patients who have
every source. The line ``none`` leaves nothing out; ``all`` leaves everything out: the template.
Printed is the KL divergence to the vote shares, in nats: a source that matters raises it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hms_pipeline.config import Params
from hms_pipeline.config.recipes import compose
from hms_pipeline.datasets.augmentations import ViewInfo
from hms_pipeline.datasets.batches import load_views
from hms_pipeline.datasets.targets import votes_to_target
from hms_pipeline.features.compute import compute
from hms_pipeline.features.view import BuiltView
from hms_pipeline.features.views import build_views
from hms_pipeline.features.windows import WindowBatch
from hms_pipeline.models import build_model
from hms_pipeline.simulator.variation import check_sources, source_names
from hms_pipeline.system.device import choose_device
from hms_pipeline.training.checkpoint import Checkpoint
from hms_pipeline.training.fit import Fit, fit
from hms_pipeline.training.fold_data import FoldData
from hms_pipeline.training.metrics import by_slice

from .windows import SampleArrays, simulate_arrays

ROOT = Path(__file__).resolve().parents[1]
CHUNK = 64  # windows whose features are computed at once


@dataclass(frozen=True)
class Windows:
    """Features and votes of simulated windows.

    Parameters
    ----------
    features : tuple of array, shape (n, *shape), float16
        One per view.
    votes : array, shape (n, 6)
    """

    features: tuple[np.ndarray, ...]
    votes: np.ndarray


def read(sample: SampleArrays, views: dict[str, BuiltView], device: torch.device) -> Windows:
    """Compute a member's views of windows in memory."""
    parts: list[list[np.ndarray]] = [[] for _ in views]
    for start in range(0, len(sample.eeg), CHUNK):
        chunk = slice(start, start + CHUNK)
        batch = WindowBatch(
            torch.from_numpy(sample.eeg[chunk]).to(device),
            torch.from_numpy(sample.spectrogram[chunk]).to(device),
        )
        for part, values in zip(parts, compute(views, batch).values(), strict=True):
            part.append(values.cpu().numpy())
    return Windows(tuple(np.concatenate(part) for part in parts), sample.votes)


def joined(train: Windows, test: Windows, infos: tuple[ViewInfo, ...], params: Params) -> FoldData:
    """One fold that trains on the first windows and holds out the others."""
    votes = np.concatenate([train.votes, test.votes])
    smoothing = params.training.smoothing
    return FoldData(
        label_ids=np.arange(len(votes)),
        n_votes=votes.sum(axis=1),
        target=votes_to_target(votes),
        smooth_target=votes_to_target(
            votes, smoothing=smoothing.amount, smoothing_max_votes=smoothing.max_votes
        ),
        train=np.arange(len(train.votes)),
        held_out=np.arange(len(train.votes), len(votes)),
        views=infos,
        stores=tuple(map(np.concatenate, zip(train.features, test.features, strict=True))),
        inputs={},
    )


def trained(data: FoldData, params: Params, member: str, device: torch.device) -> dict[str, float]:
    """KL divergence on the held-out windows, by slice of votes, after training on the others."""
    spec = params.members[member]
    views = load_views(data.stores, data.shapes, data.label_ids, device, 0.5)
    job = Fit(member, data, views, params.training, spec.max_lr_scale, device)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint")
        result = fit(
            job,
            lambda: build_model(spec, data.shapes, name=member),
            checkpoint,
            lambda record: None,
            lambda done: None,
        )
    rows = data.held_out
    return by_slice(data.target[rows], result.probs, data.n_votes[rows])


def shortened(params: Params, epochs: int | None) -> Params:
    """The recipe with at most so many epochs a stage."""
    if epochs is None:
        return params
    stages = tuple(
        stage.model_copy(update={"epochs": min(stage.epochs, epochs)})
        for stage in params.training.stages
    )
    training = params.training.model_copy(update={"stages": stages})
    return params.model_copy(update={"training": training})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--member", default="eegnet")
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--test-patients", type=int, default=100)
    parser.add_argument("--sources", nargs="*", default=None, help="default: every one")
    parser.add_argument("--epochs", type=int, default=None, help="at most, per stage")
    parser.add_argument("--seed", type=int, default=20240109)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    sources = source_names() if args.sources is None else args.sources
    check_sources(sources)
    device = choose_device(args.device)
    params = shortened(compose(ROOT / "recipes", args.recipe), args.epochs)
    views = build_views(params, params.members[args.member].views)
    infos = tuple(ViewInfo.of(view) for view in views.values())

    def windows(patients: int, seed: int, leave_out: tuple[str, ...] = ()) -> Windows:
        sample = simulate_arrays(
            patients=patients, seed=seed, leave_out=leave_out, workers=args.workers
        )
        return read(sample, views, device)

    test = windows(args.test_patients, args.seed + 1)
    print(f"{args.member} of {args.recipe}, {args.patients} patients, tested on {len(test.votes)}")
    cases = {"none": (), **{name: (name,) for name in sources}, "all": tuple(source_names())}
    for name, leave_out in cases.items():
        train = windows(args.patients, args.seed, leave_out)
        found = trained(joined(train, test, infos, params), params, args.member, device)
        text = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
        print(f"without {name:20s} {len(train.votes)} windows  KL: {text}", flush=True)


if __name__ == "__main__":
    main()
