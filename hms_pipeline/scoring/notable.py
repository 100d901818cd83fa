"""Windows worth looking at: the most probable of every class, the disputed, the least ordinary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.window import Window
from ..schema import ACNS_NAMES, VOTE_COLUMNS, WINDOW_S
from ..system.errors import InputError
from .inputs import Names, WindowItem, find_items


@dataclass(frozen=True)
class NotableWindow:
    """A window worth looking at.

    Parameters
    ----------
    row : int
        Row of the table of scores.
    reason : str
        Why it was chosen.
    start_s : float
        Where its 50 s begin in its recording.
    window : Window
        EEG and, where there is one, the ten-minute spectrogram.
    probs : ndarray, shape (6,)
    member_probs : ndarray, shape (n_members, 6)
        NaN where a member was left out.
    """

    row: int
    reason: str
    start_s: float
    window: Window
    probs: np.ndarray
    member_probs: np.ndarray


def choose(
    probs: np.ndarray, most: int, disagreement: np.ndarray | None = None
) -> list[tuple[int, str]]:
    """Rows and reasons, the most telling first; a row may come more than once.

    Parameters
    ----------
    probs : ndarray, shape (n, 6)
    most : int
        How many are wanted; enough for windows that overlap come.
    disagreement : ndarray, shape (n,), optional
        Between members, nats.
    """
    ranked = [
        (int(row), f"highest probability of {label}")
        for k, label in enumerate(ACNS_NAMES[:-1])
        for row in np.argsort(-probs[:, k], kind="stable")[:1]
        if probs[row].argmax() == k
    ]
    if disagreement is not None:
        ranked.append((int(disagreement.argmax()), "members disagree most"))
    ordinary = np.argsort(probs[:, -1], kind="stable")[: most * int(WINDOW_S)]
    return ranked + [(int(row), f"least like {ACNS_NAMES[-1]}") for row in ordinary]


def notable_in_folder(
    predictor, inputs: Sequence[Path], table: pd.DataFrame, most: int
) -> dict[str, NotableWindow]:
    """The notable among single windows that were scored, by id; each is read and scored again.

    Parameters
    ----------
    predictor : WindowScorer
    inputs : sequence of Path
        What was scored.
    table : DataFrame
        Its scores.
    most : int
    """
    found = find_items(inputs, names=Names())
    items = {item.id: item for item in found if isinstance(item, WindowItem)}
    rows = table[table["id"].astype(str).isin(items)].reset_index(drop=True)
    chosen: dict[str, NotableWindow] = {}
    for row, reason in choose(rows[list(VOTE_COLUMNS)].to_numpy(), most) if len(rows) else ():
        name = str(rows.at[row, "id"])
        if name in chosen or len(chosen) == most:
            continue
        try:
            window = items[name].load()
        except (InputError, OSError):  # it is gone since it was scored
            continue
        scores = predictor.predict([window])
        chosen[name] = NotableWindow(
            row, reason, float(rows.at[row, "start_s"]), window,
            scores.probs[0], scores.member_probs[:, 0],
        )  # fmt: skip
    return chosen
