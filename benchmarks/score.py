"""Speed of the Predictor against the plain loop over members and folds, in the same run.

``python -m benchmarks.score [--recipe full] [--device cuda] [--sizes 1 16 64]``
scores simulated noise with networks of random weights, so that it needs neither data nor training;
``--bundle FOLDER`` times a registered model instead. The plain loop does what a script would: for
each member, for each fold, compute the network's inputs and run it. ``shared`` computes each view
once and then loops, so that the gain of the networks alone is seen, too. The answers of all three
are compared before anything is timed. ``--student`` times the recipe's ensemble, one member after
another, so that a small machine holds it, each in turn with the recipe's student.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from hms_pipeline.config import Params
from hms_pipeline.config.recipes import compose
from hms_pipeline.data.window import Window
from hms_pipeline.ensemble.blend import Blend
from hms_pipeline.features.compute import compute
from hms_pipeline.features.views import build_views
from hms_pipeline.features.windows import prepare
from hms_pipeline.inference.bundle import FORMAT, Bundle, read_bundle
from hms_pipeline.inference.predictor import Predictor, load_networks
from hms_pipeline.models import build_model


def random_bundle(params: Params, folder: Path) -> Path:
    """A bundle whose networks have random weights; only what scoring reads."""
    views = build_views(params, dict.fromkeys(v for m in params.members.values() for v in m.views))
    for name, member in params.members.items():
        (folder / "weights" / name).mkdir(parents=True)
        shapes = [views[view].shape for view in member.views]
        for fold in range(params.split.n_folds):
            torch.manual_seed(fold)
            network = build_model(member, shapes, name=name)
            save_file(network.state_dict(), folder / "weights" / name / f"fold-{fold}.safetensors")
    members = {
        name: {"architecture": m.architecture, "views": list(m.views), "model": m.model}
        for name, m in params.members.items()
    }
    info = {
        "format": FORMAT,
        "members": members,
        "n_folds": params.split.n_folds,
        "blend": Blend.equal(sorted(members)).to_dict(),
        "content_hash": "0" * 64,
    }
    (folder / "bundle.json").write_text(json.dumps(info), encoding="utf-8")
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump(params.model_dump(mode="json")), encoding="utf-8"
    )
    return folder


class PlainLoop:
    """Members × folds, one network after another, as they were trained."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle, self.device = bundle, device
        names = dict.fromkeys(view for m in bundle.members.values() for view in m.views)
        self.views = build_views(bundle.params, names)
        self.networks = {
            name: load_networks(bundle, name, bundle.folds, self.views, device)
            for name in bundle.members
        }

    @torch.inference_mode()
    def predict(self, windows: Sequence[Window], *, shared: bool = False) -> np.ndarray:
        """Probabilities, shape (n, 6)."""
        if shared:
            pictures = compute(self.views, prepare(windows, self.device))
        answers = []
        for name, networks in self.networks.items():
            views = {view: self.views[view] for view in self.bundle.members[name].views}
            folds = []
            for network in networks:
                inputs = pictures if shared else compute(views, prepare(windows, self.device))
                folds.append(network(*[inputs[view].float() for view in views]).softmax(1))
            answers.append(torch.stack(folds).mean(0).double().cpu().numpy())
        return self.bundle.blend.predict(np.stack(answers))


def noise(n: int) -> list[Window]:
    """Windows of coloured noise."""
    rng = np.random.default_rng(0)
    eeg = rng.normal(scale=20, size=(n, 20, 10_000)).astype(np.float32)
    power = np.exp(rng.normal(size=(n, 4, 100, 300))).astype(np.float32)
    return [Window(e, p) for e, p in zip(eeg, power, strict=True)]


def seconds(
    runs: Mapping[str, Callable[[], object]], device: torch.device, least_s: float
) -> dict[str, float]:
    """Median time of each, warm; they take turns, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name in runs:
        runs[name]()
    while sum(map(sum, times.values())) < least_s * len(runs) or len(times[name]) < 3:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def beside_student(params: Params, options: argparse.Namespace) -> None:
    """Print what a window takes with every network of the recipe, and with its student alone."""
    device = torch.device(options.device)
    student = opened(params.for_student(), options.device, folds=[0])
    windows = noise(options.sizes[0])
    total, shares = 0.0, []
    for name, member in params.members.items():
        ensemble = opened(params.model_copy(update={"members": {name: member}}), options.device)
        runs = {
            "member": lambda p=ensemble: p.predict(windows),
            "student": lambda: student.predict(windows),
        }
        took = seconds(runs, device, options.seconds)
        each = {who: 1e3 * s / len(windows) for who, s in took.items()}
        total += each["member"]
        shares.append(each["student"])
        print(f"{name:12s} {each['member']:9.1f} ms/w, student {each['student']:.2f}", flush=True)
        del ensemble, runs
    n = len(params.members) * params.split.n_folds
    alone = median(shares)
    print(f"{n} networks {total:.0f} ms/w, student {alone:.2f}: {total / alone:.0f} times")


def opened(params: Params, device: str, folds: Sequence[int] | None = None) -> Predictor:
    """A predictor of random networks."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = random_bundle(params, Path(folder) / "b")
        return Predictor.open(bundle, device=device, folds=folds)


def main() -> None:
    """Print one line per number of windows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--folds", type=int, help="networks per member, 2 or more (default: all)")
    parser.add_argument("--student", action="store_true", help="the student beside the ensemble")
    options = parser.parse_args()
    device = torch.device(options.device)
    params = compose(Path(__file__).parents[1] / "recipes", options.recipe)
    if options.folds:
        split = params.split.model_copy(update={"n_folds": options.folds})
        params = params.model_copy(update={"split": split})
    if options.student:
        beside_student(params, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle or random_bundle(params, Path(folder) / "b")
        start = time.perf_counter()
        predictor = Predictor.open(bundle, device=options.device)
        opened = time.perf_counter() - start
        loop = PlainLoop(read_bundle(bundle), device)
    n_networks = sum(len(networks) for networks in loop.networks.values())
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(
        f"{n_networks} networks on {what}, {torch.get_num_threads()} threads; opened {opened:.1f} s"
    )
    print("windows  plain ms/w  shared ms/w  Predictor ms/w  windows/s  speed-up  difference")
    for n in options.sizes:
        windows = noise(n)
        runs = {
            "plain": lambda w=windows: loop.predict(w),
            "shared": lambda w=windows: loop.predict(w, shared=True),
            "predictor": lambda w=windows: predictor.predict(w).probs,
        }
        moved = np.abs(runs["predictor"]() - runs["plain"]()).max()
        took = seconds(runs, device, options.seconds)
        print(
            f"{n:7d}  {1e3 * took['plain'] / n:10.2f}  {1e3 * took['shared'] / n:11.2f}"
            f"  {1e3 * took['predictor'] / n:14.2f}  {n / took['predictor']:9.1f}"
            f"  {took['plain'] / took['predictor']:8.2f}  {moved:.1e}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")
    if device.type == "cuda":
        print(f"peak GPU memory {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
