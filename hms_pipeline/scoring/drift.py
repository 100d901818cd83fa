"""Drift: whether what is scored has moved away from what was trained on.

Every quantity is one number per window: statistics of each view's values, the six probabilities,
their entropy. The training reference is kept as shares in quantile bins; what was scored is
compared in the same bins. Nothing here starts a training.

References
----------
Yurdakul, "Statistical properties of population stability index", Western Michigan University
2018: without any shift PSI is about (1/n + 1/m) times a chi-square of n_bins - 1 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import chi2

from ..config.scoring import DriftParams
from ..inference.reference import bin_shares, prediction_quantities
from ..system.errors import InputError

CONFIDENCE = 0.99  # confidence with which chance alone explains a PSI
FLOOR = 1e-4  # share of an empty bin, so that PSI stays finite

Verdict = Literal["stable", "moved", "drifted", "too few"]


@dataclass(frozen=True)
class DriftReport:
    """The comparison of one period.

    Parameters
    ----------
    table : DataFrame
        One row per quantity, worst first: ``quantity``, ``group`` (a view's name, ``predictions``),
        ``psi``, ``ks`` (at the bins' edges), ``chance`` (PSI that chance explains), ``reference``
        and ``scored`` (medians), ``verdict``.
    verdict : str
        ``stable``, ``moved`` (worth a look), ``drifted`` (worth a warning) or ``too few``.
    n_windows, n_inputs : int
        Windows and recordings compared.
    shares : dict of str to (ndarray, ndarray, ndarray)
        Quantity → bin edges, the reference's and the scored shares; for a plot.
    """

    table: pd.DataFrame
    verdict: Verdict
    n_windows: int
    n_inputs: int
    shares: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]

    @property
    def sentence(self) -> str:
        """What happened, in one line."""
        if self.verdict == "too few":
            return f"Only {self.n_windows} windows were scored; too few for a verdict."
        worst = self.table.iloc[0]
        return (
            f"{self.n_windows} windows of {self.n_inputs} inputs: {self.verdict}; most moved is"
            f" {worst.quantity} (PSI {worst.psi:.2f}, median {worst.reference:.3g} in training,"
            f" {worst.scored:.3g} now)."
        )


def compare(scored: pd.DataFrame, reference: Mapping[str, Any], params: DriftParams) -> DriftReport:
    """Compare what was scored with the training reference.

    Parameters
    ----------
    scored : DataFrame
        From ``inbox.read_inbox_scores``: ``id``, probabilities, and the views' statistics where
        they were observed.
    reference : mapping
        From ``make_reference``.
    params : DriftParams

    Raises
    ------
    InputError
        The reference has nothing in common with the table.
    """
    table = pd.concat(
        [prediction_quantities(scored), scored.filter(like="view:").reset_index(drop=True)], axis=1
    )
    names = [name for name in table if name in reference]
    if not names:
        raise InputError(
            "Drift needs a reference of the scored quantities, but the model's has"
            f" {sorted(reference)[:5]}. Register the model again."
        )
    # Windows of one recording resemble each other, so chance is judged by recordings.
    n_inputs = int(scored["id"].nunique())
    rows, shares = [], {}
    for name in names:
        values = table[name].dropna().to_numpy(dtype=float)
        if len(values):
            row, shares[name] = _compare_one(name, values, reference[name], n_inputs, params)
            rows.append(row)
    columns = ["quantity", "group", "psi", "ks", "chance", "reference", "scored", "verdict"]
    found = pd.DataFrame(rows, columns=columns)
    found = found.sort_values(["psi", "quantity"], ascending=[False, True], ignore_index=True)
    verdict = _worst(found["verdict"]) if len(scored) >= params.min_windows else "too few"
    return DriftReport(found, verdict, len(scored), n_inputs, shares)


def psi(expected: np.ndarray, actual: np.ndarray) -> float:
    """Population stability index of two rows of shares.

    Examples
    --------
    >>> psi(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """
    e, a = np.maximum(expected, FLOOR), np.maximum(actual, FLOOR)
    return float(((a - e) * np.log(a / e)).sum())


def _compare_one(
    name: str, values: np.ndarray, known: Mapping[str, Any], n_inputs: int, params: DriftParams
) -> tuple[tuple, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    edges, expected = np.array(known["edges"]), np.array(known["shares"])
    actual = bin_shares(values, edges)
    # Half an input in every bin: with few inputs an empty bin is chance, not a shift.
    index = psi(expected, (actual * n_inputs + 0.5) / (n_inputs + 0.5 * len(actual)))
    ks = float(np.abs(np.cumsum(expected - actual)).max())
    chance = float(
        chi2.ppf(CONFIDENCE, max(1, len(expected) - 1)) * (1 / known["n"] + 1 / n_inputs)
    )
    verdict: Verdict = "stable"
    if index > max(params.psi_alarm, chance):
        verdict = "drifted"
    elif index > max(params.psi_warning, chance):
        verdict = "moved"
    group = name.split(":")[1] if name.startswith("view:") else "predictions"
    median = float(np.median(values))
    row = (name, group, index, ks, chance, known["median"], median, verdict)
    return row, (edges, expected, actual)


def _worst(verdicts: pd.Series) -> Verdict:
    return next((v for v in ("drifted", "moved") if (verdicts == v).any()), "stable")
