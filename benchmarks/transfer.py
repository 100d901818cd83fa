"""Which sources of variation a network needs: train without one, test on all of them.

    python -m benchmarks.transfer --out transfer.csv                # every source, demo-sized
    python -m benchmarks.transfer --recipe demo --member eegnet --sources amplifier cycles
    python -m benchmarks.transfer --part 0/2 --device cuda:0 --out a.csv &
    python -m benchmarks.transfer --part 1/2 --device cuda:1 --out b.csv    # on two GPUs
    python -m benchmarks.transfer --patients 6 --test-patients 4 --epochs 1 --sources cycles
    python -m benchmarks.transfer --done a.csv --out c.csv          # what a killed run lacks
    python -m benchmarks.transfer --table a.csv b.csv c.csv         # what was found, in Markdown

For each source a set of the same patients is simulated without it (``sample.leave_out``), the
network is trained on it by ``training.fit``, and predicts other patients who have every source.
``--member student`` is the recipe's student, taught by the votes alone: by default the starter's
architecture. The line ``none`` leaves nothing out; ``all`` leaves everything out: the template.
Printed is the KL divergence to the vote shares, in nats: a source that matters raises it. Every
training is done ``--trainings`` times from other first weights; how far these differ says what
chance does. The next set is simulated while the present one is trained on.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hms_pipeline.config import Params
from hms_pipeline.config.recipes import compose
from hms_pipeline.config.student import STUDENT
from hms_pipeline.data.window import Window
from hms_pipeline.datasets.augmentations import ViewInfo
from hms_pipeline.datasets.batches import load_views
from hms_pipeline.datasets.targets import votes_to_target
from hms_pipeline.features.compute import compute
from hms_pipeline.features.view import BuiltView
from hms_pipeline.features.views import build_views
from hms_pipeline.features.windows import prepare
from hms_pipeline.models import build_model
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.simulator.plan import SessionPlan, plan_train
from hms_pipeline.simulator.variation import check_sources, source_names
from hms_pipeline.system.device import choose_device
from hms_pipeline.system.processes import process_map
from hms_pipeline.training.checkpoint import Checkpoint
from hms_pipeline.training.fit import Fit, fit
from hms_pipeline.training.fold_data import FoldData
from hms_pipeline.training.metrics import by_slice, metric_name

from .windows import middle_windows, session_windows

ROOT = Path(__file__).resolve().parents[1]
Task = tuple[int, tuple[str, ...], SessionPlan]


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

    @classmethod
    def joined(cls, parts: list[Windows]) -> Windows:
        """One after the other."""
        features = zip(*(part.features for part in parts), strict=True)
        votes = np.concatenate([part.votes for part in parts])
        return cls(tuple(np.concatenate(view) for view in features), votes)


@cache
def member_views(name: str, member: str) -> dict[str, BuiltView]:
    """The views of a recipe's member, built once a process."""
    params = recipe(name, member)
    return build_views(params, params.members[member].views)


def read_session(name: str, member: str, task: Task) -> Windows:
    """Simulate a session and compute a member's views of its windows, in one process."""
    seed, leave_out, plan = task
    views = member_views(name, member)
    rows = middle_windows(plan)
    found = session_windows((seed, leave_out, plan, rows))
    pictures = compute(views, prepare([Window(*arrays) for arrays in found]))
    votes = np.array([[row[name] for name in VOTE_COLUMNS] for row in rows])
    return Windows(tuple(pictures[name].numpy() for name in views), votes)


def read_sets(
    name: str, member: str, sets: list[list[Task]], workers: int | None
) -> Iterator[Windows]:
    """Sets of sessions in their order; later ones are made while the caller uses the first."""
    tasks = [task for each in sets for task in each]
    with process_map(workers, len(tasks), "The simulation", "nothing of it stays") as run:
        read = run(partial(read_session, name, member), tasks)
        for tasks in sets:
            yield Windows.joined([next(read) for _ in tasks])


def fold_data(
    train: Windows, test: Windows, infos: tuple[ViewInfo, ...], params: Params
) -> FoldData:
    """One fold that trains on the first windows and holds out the others."""
    both = Windows.joined([train, test])
    smoothing = params.training.smoothing
    return FoldData(
        label_ids=np.arange(len(both.votes)),
        n_votes=both.votes.sum(axis=1),
        target=votes_to_target(both.votes),
        smooth_target=votes_to_target(
            both.votes, smoothing=smoothing.amount, smoothing_max_votes=smoothing.max_votes
        ),
        train=np.arange(len(train.votes)),
        held_out=np.arange(len(train.votes), len(both.votes)),
        views=infos,
        stores=both.features,
        inputs={},
    )


def trained(
    data: FoldData, params: Params, member: str, device: torch.device, number: int
) -> dict[str, float]:
    """KL divergence on the held-out windows, by slice of votes, after training on the others."""
    spec = params.members[member]
    views = load_views(data.stores, data.shapes, data.label_ids, device, 0.5)
    job = Fit(f"{member}-{number}", data, views, params.training, spec.max_lr_scale, device)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint")
        result = fit(
            job,
            lambda: build_model(spec, data.shapes, name=member),
            checkpoint,
            lambda record: None,
            lambda done: None,
        )
        checkpoint.remove()  # waits for the last one, which a thread writes
    rows = data.held_out
    return by_slice(data.target[rows], result.probs, data.n_votes[rows])


def finished(paths: list[Path], trainings: int) -> set[str]:
    """Cases that were trained as often as asked for."""
    counts = sum((Counter(pd.read_csv(path)["without"]) for path in paths), Counter())
    return {name for name, count in counts.items() if count >= trainings}


def recipe(
    name: str, member: str, batch_size: int | None = None, epochs: int | None = None
) -> Params:
    """A recipe, its student as a member where that is asked for, its trainings made shorter."""
    params = compose(ROOT / "recipes", name)
    if member == STUDENT:
        params = params.for_student()
    changes: dict[str, object] = {}
    if batch_size is not None:
        changes["batch_size"] = batch_size
    if epochs is not None:
        changes["stages"] = tuple(
            stage.model_copy(update={"epochs": min(stage.epochs, epochs)})
            for stage in params.training.stages
        )
    training = params.training.model_copy(update=changes)
    return params.model_copy(update={"training": training})


def table(paths: list[Path]) -> str:
    """What was found, most needed source first, and what chance does to it.

    Trainings of one number start from the same weights, so each is compared with the one of its
    number that had every source. The error of the mean is pooled over all cases.
    """
    found = pd.concat([pd.read_csv(path) for path in paths])
    found = found.drop_duplicates(["without", "training"])
    found = found.set_index(["without", "training"]).sort_index()[["kl_ge_10", "kl_all"]]
    more = (found - found.xs("none")).drop(index="none").groupby("without")
    mean, kl = more.mean(), found.groupby("without").mean()
    error = np.sqrt((more.var() / more.count()).mean())
    rows = ["| without | KL, ≥ 10 votes | more | KL, all | more |", "|---|---|---|---|---|"]
    rows.append(f"| nothing | {kl.kl_ge_10['none']:.3f} | | {kl.kl_all['none']:.3f} | |")
    for name, row in mean.sort_values("kl_ge_10", ascending=False).iterrows():
        cells = (f"{kl.loc[name, column]:.3f} | {row[column]:+.3f}" for column in found)
        rows.append(f"| {name} | {' | '.join(cells)} |")
    said = f"{error.kl_ge_10:.3f} on ten votes or more, {error.kl_all:.3f} on all"
    return "\n".join([*rows, "", f"Standard error of a difference by first weights: {said}."])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="starter")
    parser.add_argument("--member", default=STUDENT)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--test-patients", type=int, default=200)
    parser.add_argument("--sources", nargs="*", default=None, help="default: every one")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th case, from the k-th on")
    parser.add_argument("--trainings", type=int, default=2, help="of each case")
    parser.add_argument("--batch-size", type=int, default=16, help="small: the sets are, too")
    parser.add_argument("--epochs", type=int, default=None, help="at most, per stage")
    parser.add_argument("--seed", type=int, default=20240109)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="a CSV, one row a training, as they end")
    parser.add_argument(
        "--done", type=Path, nargs="+", default=[], help="such files of an earlier run: go on"
    )
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of such files")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.table:
        print(table(args.table))
        return
    sources = source_names() if args.sources is None else args.sources
    check_sources(sources)
    device = choose_device(args.device)
    params = recipe(args.recipe, args.member, args.batch_size, args.epochs)
    infos = tuple(ViewInfo.of(view) for view in member_views(args.recipe, args.member).values())
    cases = {"none": (), "all": tuple(source_names()), **{name: (name,) for name in sources}}
    for name in finished(args.done, args.trainings):
        cases.pop(name, None)
    part, parts = map(int, args.part.split("/"))
    chosen = dict(list(cases.items())[part::parts])
    train, test = (
        plan_train(args.seed, args.patients),
        plan_train(args.seed + 1, args.test_patients),
    )
    sets = [[(args.seed + 1, (), plan) for plan in test]]
    sets += [[(args.seed, leave_out, plan) for plan in train] for leave_out in chosen.values()]
    made = read_sets(args.recipe, args.member, sets, args.workers)
    tested = next(made)
    print(f"{args.member} of {args.recipe}, tested on {len(tested.votes)} windows", flush=True)
    with open(args.out or os.devnull, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        for name, windows in zip(chosen, made, strict=True):
            began = time.perf_counter()
            data = fold_data(windows, tested, infos, params)
            for number in range(args.trainings):
                found = trained(data, params, args.member, device, number)
                if file.tell() == 0:
                    rows.writerow(["without", "training", *map(metric_name, found)])
                rows.writerow([name, number, *found.values()])
                file.flush()
                text = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
                print(f"without {name:20s} {len(windows.votes)} windows  KL: {text}", flush=True)
            print(f"  trained in {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
