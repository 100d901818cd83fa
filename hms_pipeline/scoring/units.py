"""Groups of inputs → tables of scores, one bad input set aside with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import groupby, starmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.scoring import ScoringParams
from ..data.content import files_of
from ..data.formats.format import is_transient
from ..data.window import Window
from ..data.window_readers import read_ahead, window_readers
from ..schema import VOTE_COLUMNS
from ..system.errors import InputError
from ..system.files import write_table
from .inputs import Item, RecordingItem, WindowItem
from .recording import SEPARATOR, RecordingScores, WindowScorer, answers_of, predict, score_opened

COLUMNS = ("id", "start_s", *VOTE_COLUMNS, "members_used", "warnings")

Reading = tuple[WindowItem, Window | InputError | OSError]


def group(items: Sequence[Item], chunk: int) -> Iterator[list[Item]]:
    """Windows in groups, recordings one by one, in the order given."""
    for alone, run in groupby(items, lambda item: isinstance(item, RecordingItem)):
        some, size = list(run), 1 if alone else chunk
        yield from (some[k : k + size] for k in range(0, len(some), size))


def score_group(
    predictor: WindowScorer,
    items: Sequence[Any],
    params: ScoringParams,
    on_recording: Callable[[RecordingScores], None] | None = None,
    readers: Executor | None = None,
) -> pd.DataFrame:
    """Score one group.

    Parameters
    ----------
    predictor : WindowScorer
    items : sequence of Item
        Windows, or one recording that is open.
    params : ScoringParams
    on_recording : callable, optional
        Told each recording's scores in full, for a report.
    readers : Executor, optional
        From ``window_readers``; by default a thread.

    Returns
    -------
    DataFrame
        ``COLUMNS``; ``error``: None, or why an input was set aside (its scores are NaN);
        ``transient``: whether that reason lies outside the input, so that another time may succeed.
    """
    if isinstance(items[0], RecordingItem):
        return _score_recording(predictor, items[0], params, on_recording)
    tables = score_batches(predictor, items, params.batch_windows, readers)
    return pd.concat(tables, ignore_index=True)


def _score_recording(
    predictor: WindowScorer,
    item: RecordingItem,
    params: ScoringParams,
    on_recording: Callable[[RecordingScores], None] | None,
) -> pd.DataFrame:
    try:
        if isinstance(item.recording, Exception):
            raise item.recording
        scores = score_opened(predictor, item.recording, item.id, params)
    except (InputError, OSError) as err:
        return _failure(item.id, 0.0, reason(err, item.path, item.id), is_transient(err))
    if on_recording:
        on_recording(scores)
    table = scores.timeline.drop(columns="disagreement").assign(
        id=item.id, error=None, transient=False
    )
    table["warnings"] = [
        SEPARATOR.join(filter(None, (*scores.warnings, own))) for own in table["warnings"]
    ]
    return table[[*COLUMNS, "error", "transient"]]


def score_batches(
    predictor: WindowScorer,
    items: Sequence[WindowItem],
    batch: int,
    readers: Executor | None = None,
) -> Iterator[pd.DataFrame]:
    """Score windows, one table a batch; the next batch is read while one is scored."""
    batches = [items[k : k + batch] for k in range(0, len(items), batch)]
    loads = ([item.load for item in some] for some in batches)

    def score(some: Sequence[WindowItem], found: Iterable[Window | InputError | OSError]) -> Any:
        tables = _score_batch(predictor, zip(some, found, strict=True))
        return in_order(pd.concat(tables, ignore_index=True), some)

    with nullcontext(readers) if readers else window_readers() as reading:
        scored = zip(batches, read_ahead(reading, loads), strict=True)
        if predictor.device.type == "cpu":
            yield from starmap(score, scored)
        else:
            yield from _two_at_once(score, scored)


def _two_at_once(function: Callable[..., Any], items: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """A GPU answers one batch while this process checks the next."""
    with ThreadPoolExecutor(2) as threads:
        earlier = None
        for item in items:
            now = threads.submit(function, *item)
            if earlier:
                yield earlier.result()
            earlier = now
        if earlier:
            yield earlier.result()


def _score_batch(predictor: WindowScorer, readings: Iterable[Reading]) -> list[pd.DataFrame]:
    good: list[WindowItem] = []
    windows, tables = [], []
    for item, found in readings:
        if isinstance(found, Window):
            windows.append(found)
            good.append(item)
        else:
            said = reason(found, item.files[0], item.id)
            tables.append(_failure(item.id, item.start_s, said, is_transient(found)))
    for rows, scores in predict(predictor, [windows] if windows else []):
        some = [good[row] for row in rows]
        if isinstance(scores, InputError):
            tables.append(_failure(some[0].id, some[0].start_s, str(scores)))
        else:
            tables.append(_scored(some, scores))
    return tables


def _scored(items: Sequence[WindowItem], scores: Any) -> pd.DataFrame:
    names = {"id": [item.id for item in items], "start_s": [item.start_s for item in items]}
    return pd.DataFrame(names).join(answers_of(scores)).assign(error=None, transient=False)


def _failure(id_: str, start_s: float, reason: str, transient: bool = False) -> pd.DataFrame:
    row = {"id": id_, "start_s": start_s, **dict.fromkeys(VOTE_COLUMNS, np.nan)}
    said = {"members_used": "", "warnings": "", "error": reason, "transient": transient}
    return pd.DataFrame([{**row, **said}])


def reason(err: Exception, path: Path, id_: str) -> str:
    """Why an input was set aside, without the name of a patient's file or a folder."""
    known = isinstance(err, InputError)
    text = str(err.args[0]) if known else f"could not be read ({type(err).__name__})"
    try:
        files = files_of(path)
    except (InputError, OSError):
        files = [path]
    for file in [path, *files]:
        text = text.replace(str(file), id_).replace(file.name, id_)
    return str(InputError(text))


def in_order(table: pd.DataFrame, items: Sequence[Item]) -> pd.DataFrame:
    """Rows in the order of their items."""
    order = {item.id: n for n, item in enumerate(items)}
    return table.sort_values("id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)


def save_part(part: Path, table: pd.DataFrame) -> None:
    """Write a group's scores, whole or not at all, in types that all parts have."""
    votes = dict.fromkeys(VOTE_COLUMNS, "float64")
    write_table(part, table.astype({"id": "str", "error": "string", **votes}))
