"""Section `training`: two stages, optimiser, augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .section import Few, Name, Positive, Section, Seed


class StageParams(Section):
    """Which windows a stage trains on, for how long and how fast. Vote bounds are inclusive."""

    name: Name
    min_votes: Few
    max_votes: Few | None
    epochs: Few
    max_lr: float = Field(gt=0, le=1000)


class SmoothingParams(Section):
    """Label smoothing of windows with few votes: ``amount`` of the target becomes uniform."""

    amount: float = Field(ge=0, lt=1)
    max_votes: int = Field(ge=0, le=1000)


class TrainingParams(Section):
    """How every member is trained.

    Parameters
    ----------
    ema_decay : float
        Decay of the moving average of weights; 0 turns it off.
    precision : str
        Of forward and backward on a GPU; a CPU always takes float32.
    threads : int
        CPU threads of a stage, fixed so that serial and parallel runs give the same bytes.
    resident_fraction : float
        Features stay on the device when they take at most this share of its free memory;
        otherwise they are memory-mapped and sent batch by batch.
    evaluate_every : int
        Epochs of a stage between two predictions of the held-out fold; each stage's last epoch
        is always followed by one. Weights and out-of-fold predictions do not depend on it.
    augmentation : dict of str to dict
        Augmentation → its parameters; checked against its signature by ``datasets``. One that
        is not named, or has probability 0, is off.
    """

    seed: Seed
    batch_size: int = Field(ge=2, le=4096)
    stages: tuple[StageParams, ...] = Field(min_length=1, max_length=16)
    schedule: Literal["onecycle", "cosine"]
    weight_decay: float = Field(ge=0, le=1000)
    clip_norm: Positive
    ema_decay: float = Field(ge=0, lt=1)
    precision: Literal["float32", "bfloat16"]
    threads: Few
    resident_fraction: float = Field(ge=0, le=1)
    evaluate_every: Few = 1
    smoothing: SmoothingParams
    augmentation: dict[Name, Annotated[dict[Name, float], Field(max_length=32)]] = Field(
        max_length=32
    )
