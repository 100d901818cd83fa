"""Sections `registry` and `gate`: what is registered and what may become champion."""

from __future__ import annotations

from pydantic import Field

from .section import Few, Many, Nats, Positive, Resamplings, Section, Seed


class RegistryParams(Section):
    """How a version is packaged.

    Parameters
    ----------
    half_atol : float
        Weights are stored in half precision where no probability moves by more than this.
    half_windows : int
        Windows that this is judged on.
    max_cell_mb : float, MB
        Size of one window's file in a request.
    disk_reserve_gb : float, GB
        What must stay free on the disk after a retrain.
    with_ids : bool
        The model itself holds the tables of its training (patients, folds, nested out-of-fold
        predictions). Otherwise they lie with its run, where the gate finds them.
    """

    half_atol: float = Field(ge=0, le=1)
    half_windows: Few
    max_cell_mb: float = Field(gt=0, le=64)
    disk_reserve_gb: float = Field(ge=0, le=1e6)
    with_ids: bool


class GateParams(Section):
    """What a challenger must show to replace the champion.

    Parameters
    ----------
    min_votes : int
        Only windows with at least so many votes decide.
    first_min_gain : float, nats
        Least mean gain in KL divergence of a first version over the prior.
    min_gain : float, nats
        Least mean gain over the champion.
    confidence : float
        The gain must be above zero at this one-sided confidence, by bootstrap over patients.
    n_bootstrap, seed : int
        Draws of the bootstrap and their seed.
    max_class_loss : float, nats
        How much worse any one class (by the experts' plurality) may become.
    min_class_windows : int
        Classes with fewer windows are not judged one by one.
    max_size_mb : float, MB
        Size of the whole version.
    max_latency_ms : float, ms
        Time per window, measured warm on ``latency_windows`` windows.
    student_max_loss : float, nats
        How much worse than its teacher a student may be; replaces the limits on gains and classes.
    self_check_windows : int
        Windows per fold whose OOF the packaged model must reproduce.
    self_check_atol : float
        Largest difference of a probability in that check.
    """

    min_votes: Few
    first_min_gain: Nats
    min_gain: float = Field(gt=0, le=100)
    confidence: float = Field(gt=0.5, lt=1)
    n_bootstrap: Resamplings
    seed: Seed
    max_class_loss: float = Field(gt=0, le=100)
    min_class_windows: Many
    max_size_mb: Positive
    max_latency_ms: float = Field(gt=0, le=1e7)
    latency_windows: Few
    student_max_loss: float = Field(ge=0, le=100)
    self_check_windows: Few
    self_check_atol: float = Field(gt=0, le=1)
