"""Several folds of one member on one device: features loaded once, steps taken in turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence

import torch

from ..config import Params, Paths
from .callback import TrainingCallback
from .device import choose_device
from .fold_data import read_fold_data
from .stage import Progress, load_member_views, training

Steps = Generator[None, None, dict]


def run_many(
    paths: Paths,
    params: Params,
    member: str,
    folds: Sequence[int],
    *,
    device: str = "auto",
    at_once: int = 1,
    callback: Callable[[int], TrainingCallback | None] = lambda fold: None,
    progress: Progress | None = None,
) -> list[dict]:
    """Train a member on several folds in one process.

    Parameters
    ----------
    paths, params, member, device
        As in :func:`training.stage.run`.
    folds : sequence of int
    at_once : int
        Trainings that share a GPU, each on its own stream; where one alone leaves the GPU
        idle, two or three fill it. A CPU always takes them one by one, with the same bytes as
        single runs; on a GPU the dropout of trainings that take turns is drawn from one
        sequence.
    callback : callable
        Fold → its callback.
    progress : callable, optional
        Takes folds done and in all.

    Returns
    -------
    manifests : list of dict
        In the order of ``folds``.
    """
    torch.set_num_threads(params.training.threads)
    place = choose_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    at_once = at_once if place.type == "cuda" else 1
    data = read_fold_data(paths, params, member, folds[0])
    views = load_member_views(data, params, place)
    if place.type == "cuda":
        torch.cuda.synchronize(place)  # other streams read the features
    waiting = [
        (fold, training(
            paths, params, member, fold,
            device=device, callback=callback(fold), views=views,
        ))
        for fold in folds
    ]  # fmt: skip
    manifests = _take_turns(waiting, at_once, place, progress)
    return [manifests[fold] for fold in folds]


def _take_turns(
    waiting: list[tuple[int, Steps]],
    at_once: int,
    device: torch.device,
    progress: Progress | None,
) -> dict[int, dict]:
    total, finished = len(waiting), {}
    running: list[tuple[int, Steps, torch.cuda.Stream | None]] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            stream = torch.cuda.Stream(device) if device.type == "cuda" else None
            running.append((*waiting.pop(0), stream))
        for turn in list(running):
            fold, steps, stream = turn
            with contextlib.nullcontext() if stream is None else torch.cuda.stream(stream):
                try:
                    next(steps)
                except StopIteration as end:
                    finished[fold] = end.value
                    running.remove(turn)
                    if progress is not None:
                        progress(len(finished), total)
    return finished
