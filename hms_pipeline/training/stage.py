"""Stage `train@M-K`: one member on one fold."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

import torch
from torch import nn

from ..config import Params, Paths
from ..datasets.batches import load_views
from ..models import PretrainedReport, build_model, load_pretrained
from ..system.device import choose_device
from ..system.errors import InputError
from ..system.files import hash_json
from .callback import NoCallback, TrainingCallback
from .checkpoint import Checkpoint
from .fit import Fit, fit
from .fold_data import check_run, read_fold_data
from .outputs import write_outputs

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def run(
    paths: Paths,
    params: Params,
    member: str,
    fold: int,
    *,
    device: str = "auto",
    callback: TrainingCallback | None = None,
    progress: Progress | None = None,
) -> dict:
    """Train a member on all folds but one and predict that one.

    Writes ``weights.safetensors``, ``oof.parquet``, ``history.csv`` and ``manifest.json``. A
    killed run goes on from its last epoch; on a CPU it ends with the same bytes.

    Parameters
    ----------
    paths : Paths
    params : Params
    member : str
    fold : int
        Held out.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda[:N]"``.
    callback : TrainingCallback, optional
    progress : callable, optional
        Takes steps done and in all.

    Returns
    -------
    manifest : dict

    Raises
    ------
    InputError
        Bad member or fold, missing or stale inputs, too little memory, divergence.
    """
    check_run(params, member, fold)
    torch.set_num_threads(params.training.threads)
    place = choose_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)  # graphs and streams are made on the current device
    callback = callback or NoCallback()
    name = f"{member}-{fold}"
    try:
        data = read_fold_data(paths, params, member, fold)
        views = load_views(
            data.stores, data.shapes, data.label_ids, place, params.training.resident_fraction
        )
        job = Fit(name, data, views, params.training, params.members[member].max_lr_scale, place)
        callback.on_start(_info(params, member, fold, job))
        with _memory_sentence(name, params):
            manifest = _train(paths, params, member, fold, job, callback, progress)
    except BaseException as err:
        callback.on_error(err)
        raise
    callback.on_end(manifest, paths.fold(member, fold))
    return manifest


def _train(
    paths: Paths,
    params: Params,
    member: str,
    fold: int,
    job: Fit,
    callback: TrainingCallback,
    progress: Progress | None,
) -> dict:
    spec = params.members[member]
    reports: list[PretrainedReport] = []

    def build() -> nn.Module:
        model = build_model(spec, job.data.shapes, name=member)
        reports.append(load_pretrained(model, spec.pretrained, name=member))
        return model

    def on_epoch(record: dict) -> None:
        numbers = {
            key: float(value)
            for key, value in record.items()
            if isinstance(value, int | float) and key != "epoch"
        }
        callback.on_epoch(record["epoch"], numbers)

    def on_step(done: int) -> None:
        if progress is not None:
            progress(done, job.n_steps)

    checkpoint = Checkpoint(paths.checkpoints / hash_json([job.name, job.data.inputs]))
    result = fit(job, build, checkpoint, on_epoch, on_step)
    facts = {
        "member": member,
        "fold": fold,
        "architecture": spec.architecture,
        "views": list(spec.views),
        "model": spec.model,
        "pretrained": reports[0].to_dict(),
        "device": job.device.type,
        "cuda_graph": result.graphed,
    }
    manifest = write_outputs(paths.fold(member, fold), job, result, facts)
    checkpoint.remove()
    return manifest


def _info(params: Params, member: str, fold: int, job: Fit) -> dict:
    return {
        "member": member,
        "fold": fold,
        "device": str(job.device),
        "precision": job.precision,
        "resident": job.views.resident,
        "batch_size": job.batch_size,
        "n_train": {s.name: len(job.data.stage_rows(s)) for s in params.training.stages},
        "n_oof": len(job.data.held_out),
        "inputs": job.data.inputs,
        "training": params.training.model_dump(mode="json"),
        "model": params.members[member].model_dump(mode="json"),
    }


@contextlib.contextmanager
def _memory_sentence(name: str, params: Params):
    try:
        yield
    except torch.OutOfMemoryError:
        raise InputError(
            f"Training {name} needs more GPU memory than is free at training.batch_size"
            f" {params.training.batch_size}. Lower it or training.resident_fraction, or free the"
            " GPU."
        ) from None
