"""A member's trainings in one process: what its folds share is loaded once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from ..config import Params, Paths
from ..datasets.batches import MappedViews, ResidentViews, load_views
from ..models import PretrainedReport, build_model, load_pretrained
from ..system.device import choose_device
from ..system.errors import InputError
from ..system.progress import Progress
from .callback import TrainingCallback
from .checkpoint import Checkpoint
from .fit import Fit, fit
from .fold_data import MemberData
from .outputs import write_outputs

log = logging.getLogger(__name__)


class Trainer:
    """Trains folds of one member on one device.

    Parameters
    ----------
    paths : Paths
    params : Params
    member : str
    read : callable
        Reads its windows, folds and verified features, once a fold is to be trained.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda[:N]"``.
    """

    def __init__(
        self,
        paths: Paths,
        params: Params,
        member: str,
        read: Callable[[], MemberData],
        device: str = "auto",
    ) -> None:
        self.paths, self.params, self.member, self._read = paths, params, member, read
        torch.set_num_threads(params.training.threads)
        self.device = choose_device(device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # so that graphs and streams are made on this device

    @cached_property
    def data(self) -> MemberData:
        """Windows, folds and verified features."""
        return self._read()

    @cached_property
    def views(self) -> ResidentViews | MappedViews:
        """The features as batches, on the device where they fit."""
        data, fraction = self.data, self.params.training.resident_fraction
        return load_views(data.stores, data.shapes, data.label_ids, self.device, fraction)

    def train(
        self,
        fold: int | str,
        key: str,
        folder: Path,
        callback: TrainingCallback,
        on_step: Callable[[int, int], None],
    ) -> dict:
        """Train on all folds but one, predict that one, and leave the outputs in ``folder``.

        A killed training goes on from its last epoch; on a CPU it ends with the same bytes.

        Parameters
        ----------
        fold : int or str
            Held out; ``"final"`` holds nobody out.
        key : str
            Name of its checkpoint: the hash of what it reads.
        folder : Path
            Gets ``weights.safetensors``, ``oof.parquet``, ``history.csv``, ``manifest.json``.
        callback : TrainingCallback
        on_step : callable
            Takes steps done and in all.

        Returns
        -------
        manifest : dict

        Raises
        ------
        InputError
            Missing or stale inputs, too little memory, divergence.
        """
        try:
            job = Fit(
                f"{self.member}-{fold}",
                self.data.fold(fold),
                self.views,
                self.params.training,
                self.params.members[self.member].max_lr_scale,
                self.device,
            )
            self._say_left_out(job)
            callback.on_start(self._info(fold, job))
            with _memory_sentence(job.name, self.params):
                manifest = self._train(fold, key, job, folder, callback, on_step)
        except BaseException as err:
            callback.on_error(err)
            raise
        callback.on_end(manifest, folder)
        return manifest

    def _train(
        self,
        fold: int | str,
        key: str,
        job: Fit,
        folder: Path,
        callback: TrainingCallback,
        on_step: Progress,
    ) -> dict:
        spec = self.params.members[self.member]
        reports: list[PretrainedReport] = []

        def build() -> nn.Module:
            model = build_model(spec, job.data.shapes, name=self.member)
            reports.append(load_pretrained(model, spec.pretrained, name=self.member))
            return model

        def on_epoch(record: dict) -> None:
            numbers = {
                key: float(value)
                for key, value in record.items()
                if isinstance(value, int | float) and key != "epoch"
            }
            callback.on_epoch(record["epoch"], numbers)

        checkpoint = Checkpoint(self.paths.checkpoints / key)
        result = fit(job, build, checkpoint, on_epoch, lambda done: on_step(done, job.n_steps))
        facts = {
            "member": self.member,
            "fold": fold,
            "architecture": spec.architecture,
            "views": list(spec.views),
            "model": spec.model,
            "pretrained": asdict(reports[0]),
            "device": job.device.type,
            "cuda_graph": result.graphed,
            "compiled": result.compiled,
        }
        manifest = write_outputs(folder, job, result, facts)
        checkpoint.remove()
        return manifest

    def _say_left_out(self, job: Fit) -> None:
        for stage in self.params.training.stages:
            if stage not in job.stages:
                log.warning(
                    "%s is trained without stage %r: no window has %d votes%s.", job.name,
                    stage.name, stage.min_votes,
                    f" to {stage.max_votes}" if stage.max_votes else " or more",
                )  # fmt: skip

    def _info(self, fold: int | str, job: Fit) -> dict:
        params = self.params
        return {
            "member": self.member,
            "fold": fold,
            "device": str(job.device),
            "precision": job.precision,
            "resident": job.views.resident,
            "batch_size": job.batch_size,
            "n_train": {s.name: len(job.data.stage_rows(s)) for s in job.stages},
            "n_oof": len(job.data.held_out),
            "inputs": job.data.inputs,
            "training": params.training.model_dump(mode="json"),
            "model": params.members[self.member].model_dump(mode="json"),
        }


@contextlib.contextmanager
def _memory_sentence(name: str, params: Params) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise InputError(
            f"Training {name} needs more GPU memory than is free at training.batch_size"
            f" {params.training.batch_size}. Lower it or training.resident_fraction, or free the"
            " GPU."
        ) from None
