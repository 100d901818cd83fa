"""The training distribution that a bundle carries, for comparison with what is scored later.

Every quantity is one number per window: statistics of each view's values, the six probabilities,
their entropy. It is kept as shares in quantile bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import Params, Paths
from ..data.window import Window
from ..features.compute import compute
from ..features.store import FeatureStore
from ..features.view import BuiltView
from ..features.windows import prepare
from ..schema import CLASSES, VOTE_COLUMNS
from ..system.files import read_table, write_json

REFERENCE_FILE = "drift_reference.json"
STATISTICS = ("mean", "sd", "p99")


def window_statistics(windows: Sequence[Window], views: Mapping[str, BuiltView]) -> pd.DataFrame:
    """Statistics of every view of every window.

    Parameters
    ----------
    windows : sequence of Window
    views : mapping of str to BuiltView

    Returns
    -------
    DataFrame
        Columns such as ``view:mel:mean``, one row a window; NaN where a window has no spectrogram
        and the view needs one.
    """
    columns = [f"view:{name}:{statistic}" for name in views for statistic in STATISTICS]
    table = pd.DataFrame(np.nan, index=range(len(windows)), columns=columns)
    having = np.array([window.spectrogram is not None for window in windows])
    for has in (True, False):
        rows = np.flatnonzero(having == has)
        if not len(rows):
            continue
        batch = prepare([windows[row] for row in rows.tolist()])
        possible = {n: v for n, v in views.items() if has or "spectrogram" not in v.inputs}
        for name, values in compute(possible, batch).items():
            columns = [f"view:{name}:{statistic}" for statistic in STATISTICS]
            table.loc[rows, columns] = _statistics(values.numpy())
    return table


def _statistics(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1).astype(np.float32)
    return np.stack([flat.mean(1), flat.std(1), np.quantile(flat, 0.99, axis=1)], axis=1)


def write_reference(paths: Paths, params: Params, out: Path) -> Path:
    """Write the training reference into a bundle.

    Parameters
    ----------
    paths : Paths
        Where the features and the ensemble's OOF lie.
    params : Params
    out : Path
        The bundle's folder; the file is ``drift_reference.json``.
    """
    oof = read_table(paths.ensemble / "oof.parquet").sort_values("label_id")
    oof = oof.rename(columns=dict(zip(CLASSES, VOTE_COLUMNS, strict=True)))
    step = max(1, len(oof) // params.drift.reference_windows)
    labels = oof["label_id"].to_numpy()[::step]
    table = prediction_quantities(oof)
    for name in sorted({view for member in params.members.values() for view in member.views}):
        store = FeatureStore.open(paths.view(name))
        found = [_statistics(store[labels[k : k + 64]]) for k in range(0, len(labels), 64)]
        statistics = np.concatenate(found)
        for column, statistic in zip(statistics.T, STATISTICS, strict=True):
            table = table.join(pd.Series(column, name=f"view:{name}:{statistic}"), how="outer")
    path = out / REFERENCE_FILE
    write_json(path, make_reference(table, params.drift.n_bins))
    return path


def make_reference(table: pd.DataFrame, n_bins: int) -> dict[str, Any]:
    """Quantile bins of every column.

    Parameters
    ----------
    table : DataFrame
        Quantities, one row a window; NaN where a quantity is missing.
    n_bins : int

    Returns
    -------
    dict
        Quantity → ``edges`` (inner ones), ``shares``, ``median``, ``n``; plain JSON.
    """
    reference = {}
    for name in table:
        values = table[name].dropna().to_numpy(dtype=float)
        inner = np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1])
        # Equal values give equal edges; nine digits keep the file the same on every processor.
        edges = np.unique([float(f"{edge:.9g}") for edge in inner])
        reference[str(name)] = {
            "edges": edges.tolist(),
            "shares": bin_shares(values, edges).tolist(),
            "median": float(f"{np.median(values):.9g}"),
            "n": len(values),
        }
    return reference


def prediction_quantities(table: pd.DataFrame) -> pd.DataFrame:
    """The six probabilities and their entropy (nats), one row a window."""
    probs = table[list(VOTE_COLUMNS)].to_numpy(dtype=float)
    logs = np.log(np.where(probs > 0, probs, 1))
    out = pd.DataFrame(probs, columns=[f"prediction:{name}" for name in VOTE_COLUMNS])
    return out.assign(**{"prediction:entropy": -(probs * logs).sum(axis=1)})


def bin_shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares of values between sorted inner edges, shape (len(edges) + 1,)."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return counts / len(values)
