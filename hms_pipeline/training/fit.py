"""The training loop: stages, epochs, steps; then the held-out fold's probabilities."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config.training import StageParams, TrainingParams
from ..datasets.augmentations import Augmenter
from ..datasets.batches import MappedViews, ResidentViews, epoch_order
from ..system.errors import InputError
from .checkpoint import Checkpoint
from .evaluate import Evaluator
from .fold_data import FoldData
from .metrics import by_slice, metric_name
from .schedule import ema_weights, learning_rates
from .state import TrainState
from .step import PlainStep, make_step

_CHECK_EVERY = 50  # steps between looks at the loss, each of which waits for the device


class DivergenceError(InputError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Fit:
    """What one training is made of.

    Parameters
    ----------
    name : str
        Member and fold, for sentences and seeds.
    data : FoldData
    views : ResidentViews or MappedViews
        Features of all windows.
    params : TrainingParams
    lr_scale : float
        Multiplies the stages' learning rates.
    device : torch.device
    """

    name: str
    data: FoldData
    views: ResidentViews | MappedViews
    params: TrainingParams
    lr_scale: float
    device: torch.device

    @property
    def precision(self) -> str:
        """Number format of the training; float32 without a GPU."""
        return self.params.precision if self.device.type == "cuda" else "float32"

    @property
    def stages(self) -> tuple[StageParams, ...]:
        """The recipe's, as far as there are windows for them."""
        return self.data.stages(self.params)

    @property
    def batch_size(self) -> int:
        """The recipe's, or the smallest stage's rows: a captured step has one size."""
        rows = (len(self.data.stage_rows(stage)) for stage in self.stages)
        return min(self.params.batch_size, *rows)

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all stages."""
        return sum(
            stage.epochs * (len(self.data.stage_rows(stage)) // self.batch_size)
            for stage in self.stages
        )

    def seed(self, *where: object) -> int:
        """A seed that depends on the recipe's seed, the training and a position in it."""
        text = repr((self.params.seed, self.name, *where)).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:6], "little")


@dataclass
class Result:
    """A trained state with its history and the held-out fold's probabilities."""

    state: TrainState
    history: list[dict]
    probs: np.ndarray
    graphed: bool
    compiled: bool


def fit(
    job: Fit,
    build: Callable[[], nn.Module],
    checkpoint: Checkpoint,
    on_epoch: Callable[[dict], None],
    on_step: Callable[[int], None],
) -> Result:
    """Train through all stages.

    Every epoch is seeded by its own position: a resumed training draws what it would have
    drawn. The last epoch's weights (their moving average where on) give the result.

    Parameters
    ----------
    job : Fit
    build : callable
        Makes the network with its first weights.
    checkpoint : Checkpoint
    on_epoch : callable
        Takes each epoch's record.
    on_step : callable
        Takes the number of steps done.
    """
    params, device, batch_size = job.params, job.device, job.batch_size
    torch.manual_seed(job.seed("weights"))
    model = build()
    start_from_prior(model, job.data.smooth_target[job.data.stage_rows(job.stages[0])])
    state = TrainState(_to_device(model, device), params.weight_decay, ema=params.ema_decay > 0)
    augmenter = Augmenter(params.augmentation, job.data.views)
    plain = PlainStep(state, augmenter, params.clip_norm, job.precision)
    step = make_step(plain, job.data.shapes, batch_size, job.n_steps)
    evaluator = Evaluator(
        state, job.views, job.data.held_out, batch_size, device, graphed=step.graphed
    )
    target = torch.from_numpy(job.data.smooth_target.astype(np.float32)).to(device)
    history = checkpoint.load(state)
    for record in history:
        on_epoch(record)
    done, epochs_before, probs = 0, 0, None
    for stage in job.stages:
        rows = job.data.stage_rows(stage)
        steps = len(rows) // batch_size
        lr = learning_rates(params.schedule, steps * stage.epochs, stage.max_lr * job.lr_scale)
        scalars = np.stack([lr, ema_weights(len(lr), params.ema_decay)], 1).astype(np.float32)
        scalars = torch.from_numpy(scalars).to(device)
        for epoch in range(stage.epochs):
            if len(history) > epochs_before + epoch:
                done += steps
                continue
            if epoch == 0:
                state.start_stage()
            seed = job.seed(stage.name, epoch)
            torch.manual_seed(seed)
            rng = np.random.default_rng(seed)
            order = epoch_order(rng, rows, batch_size)
            drawn = augmenter.draw(rng, steps, batch_size).to(device)
            places = torch.from_numpy(order).to(device)
            step.loss_sum.zero_()
            for i, views in enumerate(job.views.batches(list(order))):
                step(views, target[places[i]], drawn[i], scalars[epoch * steps + i])
                done += 1
                if done % _CHECK_EVERY == 0:
                    _check_loss(step.loss_sum, job.name, stage.name, epoch)
                on_step(done)
            loss = _check_loss(step.loss_sum, job.name, stage.name, epoch) / steps
            record = {
                "stage": stage.name,
                "epoch": epochs_before + epoch + 1,
                "step": done,
                "lr": float(lr[epoch * steps + steps - 1]),
                "loss": loss,
            }
            last = epoch == stage.epochs - 1
            if last or (epoch + 1) % params.evaluate_every == 0:
                probs = _finite(evaluator("float32" if last else job.precision), job.name)
                record |= _held_out_metrics(job.data, probs)
            history.append(record)
            checkpoint.save(state, history)
            on_epoch(record)
        epochs_before += stage.epochs
    if probs is None:  # resumed after the last epoch
        probs = _finite(evaluator("float32"), job.name)
    return Result(state, history, probs, step.graphed, step.compiled)


@torch.no_grad()
def start_from_prior(model: nn.Module, target: np.ndarray) -> None:
    """Set the last layer's bias to the classes' mean log share: few steps need not learn it.

    Parameters
    ----------
    model : Module
        Its last layer is ``model.head``.
    target : array, shape (n, 6)
    """
    share = torch.from_numpy(target.mean(0)).clamp_min(1e-4)
    head: Any = model.head
    head.bias.copy_(share.log() - share.log().mean())


def _to_device(model: nn.Module, device: torch.device) -> nn.Module:
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _check_loss(loss_sum: Tensor, name: str, stage: str, epoch: int) -> float:
    value = float(loss_sum)
    if not math.isfinite(value):
        raise _divergence(name, f"the loss is {value} in epoch {epoch + 1} of {stage}")
    return value


def _finite(probs: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(probs).all():
        raise _divergence(name, "its probabilities are not finite")
    return probs


def _divergence(name: str, what: str) -> DivergenceError:
    return DivergenceError(
        f"Training {name} diverged: {what}. Lower training.stages' max_lr or clip_norm,"
        " or look at the features for values that are not finite."
    )


def _held_out_metrics(data: FoldData, probs: np.ndarray) -> dict[str, float | None]:
    """KL per slice under names that any tracker takes; None where a slice has no rows."""
    scores = by_slice(data.target[data.held_out], probs, data.n_votes[data.held_out])
    return {metric_name(k): None if math.isnan(v) else v for k, v in scores.items()}
