"""Defects that a data set may have: one decorated function each, planted and written down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ...catalogue import discover
from ..truth import Truth
from .desk import DEFECTS, Desk

discover(__name__, __path__)

PATIENTS_PER_COPY = 40


def plant_defects(
    folder: Path, rows: pd.DataFrame, seed: int, patients: int, simulated: list[Truth]
) -> tuple[pd.DataFrame, list[Truth]]:
    """Plant every kind of defect, each once per 40 patients, in a sample's folder.

    Parameters
    ----------
    folder : Path
        The competition folder; its files are changed.
    rows : DataFrame
        train.csv.
    seed, patients : int
        The sample's.
    simulated : list of Truth
        Findings of the simulation itself; recordings that have some are left alone.

    Returns
    -------
    rows : DataFrame
        train.csv with the defects.
    truth : list of Truth
        Planted and simulated.
    """
    labels = {line.id for line in simulated}
    dirty = {int(key) for key in rows.loc[rows["label_id"].isin(labels), "eeg_id"]}
    desk = Desk(folder, rows, np.random.default_rng([seed, 0xDEFEC7]), dirty)
    # Defects of whole spectrograms need recordings that nothing else has touched: they go first.
    names = sorted(DEFECTS, key=lambda name: (not name.startswith("spectrogram"), name))
    for _ in range(max(1, patients // PATIENTS_PER_COPY)):
        for name in names:
            DEFECTS[name](desk, name)
    return desk.rows, desk.truth + simulated
