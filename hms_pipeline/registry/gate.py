"""May the challenger replace the champion? Numbers in, checks with their sentences out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config.registry import GateParams
from ..ensemble.bootstrap import patient_bootstrap
from ..schema import CLASSES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """One condition of the gate.

    Parameters
    ----------
    name : str
    value : float
    threshold : float
    greater_is_better : bool
    sentence : str
        What was found and what is needed.
    """

    name: str
    value: float
    threshold: float
    greater_is_better: bool
    sentence: str

    @property
    def holds(self) -> bool:
        """Whether the value is finite and on the right side of the threshold, or on it."""
        above = self.value >= self.threshold
        below = self.value <= self.threshold
        return math.isfinite(self.value) and (above if self.greater_is_better else below)


def compare(
    challenger: Array,
    reference: Array,
    patients: NDArray,
    plurality: NDArray[np.bool_],
    params: GateParams,
    against: str,
) -> list[Check]:
    """Compare losses on the same windows.

    Parameters
    ----------
    challenger, reference : array, shape (n_windows,)
        KL divergence of each window, nats.
    patients : array, shape (n_windows,)
        Resampled as wholes.
    plurality : array of bool, shape (n_windows, 6)
        Classes with the most votes.
    params : GateParams
    against : str
        What the reference is, for the sentences.

    Returns
    -------
    list of Check
        ``gain``, ``gain_low``, and ``class_<name>`` for each class with enough windows.
    """
    gain = float((reference - challenger).mean())
    low = _bound(reference - challenger, patients, params, 1 - params.confidence)
    both = f"KL {challenger.mean():.4f} against {reference.mean():.4f} of {against}"
    return [
        Check(
            "gain", gain, params.min_gain, True,
            f"{both} {_where(patients)}: gain {gain:.4f}, needed {params.min_gain:g}.",
        ),
        Check(
            "gain_low", low, math.ulp(0.0), True,
            f"Lower bound of the gain at {params.confidence:.0%} by bootstrap over patients:"
            f" {low:.4f}, needed above 0.",
        ),
        *_class_checks(challenger, reference, plurality, params, against),
    ]  # fmt: skip


def _bound(gains: Array, patients: NDArray, params: GateParams, quantile: float) -> float:
    """A quantile of the mean gain by bootstrap over patients."""
    samples = patient_bootstrap(gains[:, None], patients, params.n_bootstrap, params.seed)
    return float(np.quantile(samples[:, 0], quantile))


def _where(patients: NDArray) -> str:
    return f"on {len(patients)} windows of {len(np.unique(patients))} patients"


def compare_first(
    challenger: Array, prior: Array, patients: NDArray, params: GateParams
) -> list[Check]:
    """Compare a first version with the prior; parameters as in ``compare``.

    The prior is best for the class that it prefers, so single classes are not compared with it.
    """
    gain = float((prior - challenger).mean())
    return [
        Check(
            "gain", gain, params.first_min_gain, True,
            f"KL {challenger.mean():.4f} against {prior.mean():.4f} of the prior"
            f" {_where(patients)}: gain {gain:.4f}, needed {params.first_min_gain:g} of a first"
            " version.",
        )
    ]  # fmt: skip


def compare_student(
    student: Array, teacher: Array, patients: NDArray, params: GateParams
) -> list[Check]:
    """Compare a student with the ensemble that taught it; parameters as in ``compare``."""
    loss = float((student - teacher).mean())
    high = _bound(student - teacher, patients, params, params.confidence)
    return [
        Check(
            "loss", loss, params.student_max_loss, False,
            f"KL {student.mean():.4f} against {teacher.mean():.4f} of its teacher"
            f" {_where(patients)}: loss {loss:.4f} (at {params.confidence:.0%} below {high:.4f}),"
            f" at most {params.student_max_loss:g} allowed.",
        )
    ]  # fmt: skip


def _class_checks(
    challenger: Array,
    reference: Array,
    plurality: NDArray[np.bool_],
    params: GateParams,
    against: str,
) -> list[Check]:
    checks = []
    for name, rows in zip(CLASSES, plurality.T, strict=True):
        if rows.sum() < params.min_class_windows:
            continue
        loss = float((challenger - reference)[rows].mean())
        checks.append(
            Check(
                f"class_{name}",
                loss,
                params.max_class_loss,
                False,
                f"{name} ({rows.sum()} windows): KL {challenger[rows].mean():.4f} against"
                f" {reference[rows].mean():.4f} of {against}, at most"
                f" {params.max_class_loss:g} worse allowed.",
            )
        )
    return checks


def limits(size_mb: float, latency_ms: float, device: str, params: GateParams) -> list[Check]:
    """Size and speed of the packaged model."""
    return [
        Check(
            "size_mb", size_mb, params.max_size_mb, False,
            f"Size {size_mb:.1f} MB, at most {params.max_size_mb:g} allowed.",
        ),
        Check(
            "latency_ms", latency_ms, params.max_latency_ms, False,
            f"{latency_ms:.1f} ms a window on {device}, at most {params.max_latency_ms:g}"
            " allowed.",
        ),
    ]  # fmt: skip


def failed(checks: Sequence[Check]) -> list[Check]:
    """The checks that do not hold; a value that is NaN never holds."""
    return [check for check in checks if not check.holds]
