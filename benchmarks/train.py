"""Training speed: the real loop against what others write: an eager loop, a compiled one.

    python benchmarks/train.py                         # 128 x 256 pixels, batch 64
    python benchmarks/train.py --full                  # every member of recipes/full.yaml
    python benchmarks/train.py --height 64 --width 96 --batch 16 --windows 64 --small   # a CPU

The first form trains the same network from the same store in the same process: by
``training.fit`` (features on the device, augmentation, EMA, metrics and a checkpoint included),
compiled and only captured; by the eager loop of public solutions over a DataLoader; and by the
same loop with channels innermost and ``torch.compile``. Then all train once more without
augmentation and dropout on the same batches, and their losses are compared. Needs the core
packages only. ``TORCHINDUCTOR_CACHE_DIR`` says where compiled code is kept; ``HMS_COMPILE=off``
compiles nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hms_pipeline.config import Params
from hms_pipeline.config.members import MemberParams
from hms_pipeline.config.recipes import compose
from hms_pipeline.config.training import TrainingParams
from hms_pipeline.datasets.augmentations import Augmenter, ViewInfo
from hms_pipeline.datasets.batches import ResidentViews, load_views
from hms_pipeline.features.views import build_views
from hms_pipeline.models import build_model
from hms_pipeline.system.compiler import SWITCH
from hms_pipeline.system.device import choose_device
from hms_pipeline.training.checkpoint import Checkpoint
from hms_pipeline.training.evaluate import Evaluator
from hms_pipeline.training.fit import Fit, fit
from hms_pipeline.training.fold_data import FoldData
from hms_pipeline.training.schedule import learning_rates
from hms_pipeline.training.state import TrainState
from hms_pipeline.training.step import COMPILED_STEPS, PlainStep, image_layout, kl_loss, make_step

ROOT = Path(__file__).resolve().parents[1]
# The competition after de-duplication: windows with fewer than 10 votes, with 10 or more.
LOW, HIGH = 13_900, 6_300


class MappedStore:
    """One memory-mapped array; its label_ids are its rows."""

    def __init__(self, path: Path) -> None:
        self.values = np.load(path, mmap_mode="r")

    def __getitem__(self, label_ids: np.ndarray) -> np.ndarray:
        return self.values[label_ids]


def synthetic(folder: Path, views: Sequence[ViewInfo], n_windows: int, seed: int = 0) -> FoldData:
    """Noise with a class-dependent mean, in real memory-mapped files."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 6, n_windows)
    stores = []
    for i, view in enumerate(views):
        path = folder / f"view-{i}-{n_windows}.npy"
        values = np.lib.format.open_memmap(path, "w+", np.float16, (n_windows, *view.shape))
        noise = rng.standard_normal((64, *view.shape), np.float32)
        for row in range(n_windows):
            values[row] = np.roll(noise[row % len(noise)], row // len(noise)) + 0.2 * classes[row]
        stores.append(MappedStore(path))
    target = (0.8 * np.eye(6)[classes] + 0.2 / 6).astype(np.float64)
    n_held = max(n_windows // 10, 2)
    places = rng.permutation(n_windows)
    return FoldData(
        label_ids=np.arange(n_windows),
        n_votes=np.full(n_windows, 12),
        target=target,
        smooth_target=target,
        train=np.sort(places[n_held:]),
        held_out=np.sort(places[:n_held]),
        views=tuple(views),
        stores=tuple(stores),
        inputs={},
    )


def single_stage(params: TrainingParams, epochs: int, batch: int, **changes) -> TrainingParams:
    stage = params.stages[-1].model_copy(update={"min_votes": 1, "epochs": epochs})
    return params.model_copy(update={"stages": (stage,), "batch_size": batch, **changes})


# ------------------------------------------------------------------ the loop of public solutions
class WindowDataset(Dataset):
    """One window after another from the store, masked and mirrored in NumPy."""

    def __init__(self, data: FoldData, rows: np.ndarray, augment: bool) -> None:
        self.data, self.rows, self.augment = data, rows, augment

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[list[np.ndarray], np.ndarray]:
        row = self.rows[item]
        views = [store.values[row].astype(np.float32) for store in self.data.stores]
        if self.augment:
            views = [self._masked(view) for view in views]
        return views, self.data.smooth_target[row].astype(np.float32)

    def _masked(self, view: np.ndarray) -> np.ndarray:
        for axis in range(1, view.ndim):
            if np.random.random() < 0.5:
                width = int(0.15 * view.shape[axis] * np.random.random())
                start = np.random.randint(0, view.shape[axis] - width)
                np.moveaxis(view, axis, 0)[start : start + width] = 0
        return view


def eager_losses(
    model: nn.Module,
    loader: DataLoader,
    rates: np.ndarray,
    params: TrainingParams,
    device: torch.device,
    precision: str,
    *,
    compile_it: bool = False,
) -> Iterator[float]:
    """AdamW, autocast, clipping and ``loss.item()`` each step, without a captured graph."""
    network = model.to(device).train()
    if compile_it:
        network = torch.compile(model.to(memory_format=torch.channels_last), dynamic=False)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1]},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=float(rates[0]),
        weight_decay=params.weight_decay,
    )
    step = 0
    while step < len(rates):
        for views, target in loader:
            if step == len(rates):
                break
            for group in optimizer.param_groups:
                group["lr"] = float(rates[step])
            views = [view.to(device, non_blocking=True) for view in views]
            if compile_it:
                views = list(map(image_layout, views))
            target = target.to(device, non_blocking=True)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = network(*views)
            loss = kl_loss(logits, target)
            loss.backward()
            clip_grad_norm_(model.parameters(), params.clip_norm)
            optimizer.step()
            step += 1
            yield loss.item()


# ------------------------------------------------------------------ comparison
@dataclass
class Bench:
    """One member's network on synthetic windows of given shapes."""

    name: str
    member: MemberParams
    data: FoldData
    params: TrainingParams
    device: torch.device
    folder: Path
    workers: int

    @cached_property
    def job(self) -> Fit:
        views = load_views(
            self.data.stores, self.data.shapes, self.data.label_ids, self.device, 0.5
        )
        return Fit(self.name, self.data, views, self.params, 1.0, self.device)

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return build_model(self.member, self.data.shapes, name=self.name)

    def sync(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def real(self) -> dict[str, float]:
        """Images per second of ``fit``, from its second epoch on, everything included."""
        job, marks, start = self.job, [], time.perf_counter()

        def on_epoch(record: dict) -> None:
            self.sync()
            marks.append(time.perf_counter())

        checkpoint = Checkpoint(self.folder / f"checkpoint-{self.name}")
        result = fit(job, self.build, checkpoint, on_epoch, lambda done: None)
        checkpoint.remove()
        per_epoch = job.n_steps // self.params.stages[0].epochs * job.batch_size
        rate = per_epoch * (len(marks) - 1) / (marks[-1] - marks[0])
        path = "compiled" if result.compiled else "captured" if result.graphed else "eager"
        return {"images_s": rate, "first_epoch_s": marks[0] - start, "path": path}

    def eager(self, n_steps: int, *, compile_it: bool) -> float:
        """Images per second of the public loop after its warm-up."""
        loader = DataLoader(
            WindowDataset(self.data, self.data.train, augment=True),
            self.params.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            persistent_workers=self.workers > 0,
        )
        warm = max(3, n_steps // 4)
        rates = learning_rates(self.params.schedule, warm + n_steps, 1e-3)
        precision = self.job.precision
        losses = eager_losses(
            self.build(), loader, rates, self.params, self.device, precision, compile_it=compile_it
        )
        for step, _ in enumerate(losses):
            if step == warm - 1:
                start = time.perf_counter()
        self.sync()
        return n_steps * self.params.batch_size / (time.perf_counter() - start)

    def curves(self, n_steps: int) -> dict[str, np.ndarray]:
        """Losses of every loop on the same batches, without augmentation and dropout."""
        batch = self.params.batch_size
        rng = np.random.default_rng(0)
        order = np.stack([rng.choice(self.data.train, batch, False) for _ in range(n_steps)])
        rates = learning_rates(self.params.schedule, n_steps, 3e-4)
        loader = DataLoader(
            WindowDataset(self.data, order.ravel(), augment=False), batch, shuffle=False
        )
        plain = self._no_dropout(self.build())
        precision = self.job.precision
        eager = eager_losses(plain, loader, rates, self.params, self.device, precision)
        return {
            "eager": np.array(list(eager)),
            "eager in float32": np.array(
                list(
                    eager_losses(
                        self._no_dropout(self.build()), loader, rates, self.params, self.device,
                        "float32",
                    )
                )
            ),
            "captured": self._curve(order, rates, 0),
            "compiled": self._curve(order, rates, COMPILED_STEPS),
        }  # fmt: skip

    def _curve(self, order: np.ndarray, rates: np.ndarray, n_steps: int) -> np.ndarray:
        """Losses of the real step, which is compiled where ``n_steps`` are many."""
        state = TrainState(
            self._no_dropout(self.build()).to(self.device, memory_format=torch.channels_last),
            self.params.weight_decay,
            ema=True,
        )
        plain = PlainStep(
            state, Augmenter({}, self.data.views), self.params.clip_norm, self.job.precision
        )
        step = make_step(plain, self.data.shapes, order.shape[1], n_steps)
        target = torch.from_numpy(self.data.smooth_target).float().to(self.device)
        drawn = torch.zeros(order.shape[1], 0, device=self.device)
        losses = []
        for i, views in enumerate(self.job.views.batches(list(order))):
            scalars = torch.tensor([rates[i], 0.1], dtype=torch.float32, device=self.device)
            step.loss_sum.zero_()
            step(views, target[torch.from_numpy(order[i]).to(self.device)], drawn, scalars)
            losses.append(float(step.loss_sum))
        return np.array(losses)

    @staticmethod
    def _no_dropout(model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if hasattr(module, "drop_prob"):
                module.drop_prob = 0.0
        return model


def compare(args: argparse.Namespace, params: Params, device: torch.device) -> None:
    image = ViewInfo("image", (4, args.height, args.width), (1, 0, 3, 2), (1.0,) * 4)
    waves = ViewInfo("waves", (18, args.times), tuple(range(18)), (1.0,) * 18)
    small = {"width": 0.25, "depth": 0.25} if args.small else {}
    for name, architecture, view, options in (
        ("EfficientNetV2-S", "efficientnet_v2s", image, small),
        ("EfficientNet-B4", "efficientnet_b4", image, small),
        ("EEGNet", "eegnet", waves, {"width": 8, "hidden": 32} if args.small else {}),
    ):
        if args.only and architecture not in args.only:
            continue
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            data = synthetic(Path(folder), [view], args.windows)
            member = MemberParams(architecture=architecture, views=("v",), model=options)
            training = single_stage(
                params.training, args.epochs, args.batch, ema_decay=0.99, precision=args.precision
            )
            bench = Bench(name, member, data, training, device, Path(folder), args.workers)
            for part in args.parts:
                print(f"{name:18s} {PARTS[part](bench, args)}", flush=True)


def _eager(bench: Bench, args: argparse.Namespace) -> str:
    return f"eager loop {bench.eager(args.steps, compile_it=False):.0f} images/s"


def _compiled(bench: Bench, args: argparse.Namespace) -> str:
    return f"compiled loop {bench.eager(args.steps, compile_it=True):.0f} images/s"


def _captured(bench: Bench, args: argparse.Namespace) -> str:
    with not_compiled():
        return _real(bench, args)


def _real(bench: Bench, args: argparse.Namespace) -> str:
    real = bench.real()
    return (
        f"real loop, {real['path']}, {real['images_s']:.0f} images/s; first epoch"
        f" {real['first_epoch_s']:.1f} s"
    )


def _curves(bench: Bench, args: argparse.Namespace) -> str:
    curves = bench.curves(args.curve)
    first = curves.pop("eager")
    moved = {which: np.abs(losses - first) for which, losses in curves.items()}
    return (
        f"loss on the same {args.curve} batches: eager {first[0]:.4f} -> {first[-1]:.4f};"
        " difference from it, mean and largest: "
        + ", ".join(f"{which} {m.mean():.4f} {m.max():.4f}" for which, m in moved.items())
    )


PARTS: dict[str, Callable[[Bench, argparse.Namespace], str]] = {
    "eager": _eager,
    "compiled": _compiled,
    "captured": _captured,
    "real": _real,
    "curves": _curves,
}


@contextmanager
def not_compiled() -> Iterator[None]:
    """The former way: the step is only captured."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "off"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


# ------------------------------------------------------------------ full recipe
def resident(shapes: Sequence[tuple[int, ...]], n: int, device: torch.device) -> list[Tensor]:
    return [torch.randn((n, *shape), device=device).half() for shape in shapes]


@dataclass
class Runner:
    """One training's captured step on its own stream."""

    step: object
    stream: torch.cuda.Stream | None
    views: list[Tensor]
    target: Tensor
    drawn: Tensor
    scalars: Tensor
    batch: int

    def __call__(self, i: int) -> None:
        n = len(self.views[0])
        places = torch.arange(self.batch, device=self.target.device).add_(i * 7).remainder_(n)
        views = [view.index_select(0, places) for view in self.views]
        self.step(views, self.target[places], self.drawn, self.scalars)


def make_runner(
    name: str, member: MemberParams, infos: Sequence[ViewInfo], views: list[Tensor], params: Params,
    device: torch.device, stream: torch.cuda.Stream | None,
) -> tuple[Runner, TrainState]:  # fmt: skip
    training, batch = params.training, params.training.batch_size
    model = build_model(member, [info.shape for info in infos], name=name)
    state = TrainState(
        model.to(device, memory_format=torch.channels_last),
        training.weight_decay,
        ema=training.ema_decay > 0,
    )
    precision = training.precision if device.type == "cuda" else "float32"
    augmenter = Augmenter(training.augmentation, infos)
    step = make_step(
        PlainStep(state, augmenter, training.clip_norm, precision),
        [info.shape for info in infos],
        batch,
        COMPILED_STEPS,
    )
    target = torch.full((len(views[0]), 6), 1 / 6, device=device)
    drawn = augmenter.draw(np.random.default_rng(0), 1, batch)[0].to(device)
    scalars = torch.tensor([1e-4, 0.01], device=device)
    return Runner(step, stream, views, target, drawn, scalars, batch), state


def on_stream(runner: Runner) -> AbstractContextManager:
    return nullcontext() if runner.stream is None else torch.cuda.stream(runner.stream)


def timed_steps(runners: Sequence[Runner], n: int, device: torch.device) -> tuple[float, float]:
    """Seconds of ``n`` rounds on the device, and of giving the orders on the host."""

    def sync() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for i in range(3):
        for runner in runners:
            with on_stream(runner):
                runner(i)
    sync()
    start = time.perf_counter()
    for i in range(n):
        for runner in runners:
            with on_stream(runner):
                runner(i)
    host = time.perf_counter() - start
    sync()
    return time.perf_counter() - start, host


def evaluation_rate(
    state: TrainState, views: list[Tensor], batch: int, precision: str, device: torch.device
) -> float:
    """Images per second of the held-out fold's prediction."""
    places = np.arange(16 * batch) % len(views[0])
    evaluator = Evaluator(
        state, ResidentViews(tuple(views)), places, batch, device, graphed=device.type == "cuda"
    )
    evaluator(precision)
    start = time.perf_counter()
    evaluator(precision)
    return len(places) / (time.perf_counter() - start)


def measure_member(
    name: str, params: Params, args: argparse.Namespace, device: torch.device
) -> dict[str, float | str]:
    member = params.members[name]
    infos = [ViewInfo.of(view) for view in build_views(params, member.views).values()]
    batch = params.training.batch_size
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    views = resident([info.shape for info in infos], max(args.windows, 4 * batch), device)
    runners = []
    for _ in range(args.at_once):
        stream = torch.cuda.Stream(device) if cuda and args.at_once > 1 else None
        start = time.perf_counter()
        runner, state = make_runner(name, member, infos, views, params, device, stream)
        if cuda:
            torch.cuda.synchronize(device)
        set_up = time.perf_counter() - start
        runners.append(runner)
    device_s, host_s = timed_steps(runners, args.steps, device)
    steps_s = args.steps * args.at_once / device_s
    precision = params.training.precision if cuda else "float32"
    fast = evaluation_rate(state, views, batch, precision, device)
    exact = evaluation_rate(state, views, batch, "float32", device)
    memory = torch.cuda.max_memory_allocated(device) / 1e9 if cuda else float("nan")
    folds = params.split.n_folds
    share = (folds - 1) / folds
    steps = sum(
        int((LOW if stage.max_votes is not None else HIGH) * share) // batch * stage.epochs
        for stage in params.training.stages
    )
    held = (LOW + HIGH) / folds
    epochs = sum(stage.epochs for stage in params.training.stages)
    n_stages = len(params.training.stages)
    evaluation = held * ((epochs - n_stages) / fast + n_stages / exact)
    fold_s = set_up / args.at_once + steps / steps_s + evaluation
    return {
        "member": name,
        "shape": " + ".join("x".join(map(str, info.shape)) for info in infos),
        "images_s": steps_s * batch,
        "steps_s": steps_s,
        "host_ms": 1e3 * host_s / (args.steps * args.at_once),
        "set_up_s": set_up,
        "memory_gb": memory,
        "fold_s": fold_s,
        "hours": fold_s * folds / 3600,
        "limiter": "host" if host_s > 0.9 * device_s else "GPU" if cuda else "CPU",
        "step": type(runners[0].step).__name__ + " compiled" * runners[0].step.compiled,
    }


def full(args: argparse.Namespace, params: Params, device: torch.device) -> None:
    columns = ["images_s", "steps_s", "host_ms", "set_up_s", "memory_gb", "fold_s", "hours"]
    print(
        f"{'member':12s}{'shape':>28s}" + "".join(f"{c:>10s}" for c in columns) + "  limiter step"
    )
    hours = 0.0
    for name in args.only or params.members:
        row = measure_member(name, params, args, device)
        hours += row["hours"]
        numbers = "".join(f"{row[c]:10.2f}" for c in columns)
        print(
            f"{name:12s}{row['shape']:>28s}{numbers}  {row['limiter']:7s} {row['step']}", flush=True
        )
    n = len(args.only or params.members) * params.split.n_folds
    print(
        f"{n} trainings on {LOW + HIGH} windows, calculated from the measured rates:"
        f" {hours:.2f} device hours ({args.at_once} at once on {describe(device)});"
        " reading features from disk not included"
    )


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every member at the recipe's sizes")
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--times", type=int, default=5000, help="samples of a wave view")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--windows", type=int, default=LOW, help="stage 1's")
    parser.add_argument("--epochs", type=int, default=5, help="stage 1's")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--curve", type=int, default=30, help="steps of the compared losses")
    parser.add_argument("--workers", type=int, default=min(8, max((os.cpu_count() or 1) - 1, 0)))
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--at-once", type=int, default=1, help="trainings that share the GPU")
    parser.add_argument("--only", nargs="+", help="architectures, or members with --full")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--small", action="store_true", help="scaled-down networks")
    parser.add_argument("--scratch", type=Path, default=None, help="folder for the synthetic store")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    device = choose_device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    print(f"{describe(device)}, torch {torch.__version__}, batch {args.batch}")
    params = compose(ROOT / "recipes", args.recipe)
    (full if args.full else compare)(args, params, device)


if __name__ == "__main__":
    main()
