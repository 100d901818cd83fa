"""An inbox of recordings, each scored once, with one table per recording as the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..config.scoring import ScoringParams
from ..data.content import files_of, is_parquet, list_recordings, paths_below, unreadable_id
from ..data.reading import Reader, given_or_process
from ..data.window import Window
from ..system.errors import InputError
from ..system.files import read_table
from ..system.processes import release_memory
from ..system.progress import Progress, silent
from .batch import BatchSummary
from .inputs import Item, Names, RecordingItem, WindowItem, item_of_file, opened
from .recording import WindowScorer
from .units import COLUMNS, reason, save_part, score_group

MADE_BY = "content_hash"  # column of the tables: the model that scored

Observe = Callable[[Sequence[Window]], pd.DataFrame]


def score_inbox(
    predictor: WindowScorer,
    inbox: Path,
    out: Path,
    params: ScoringParams,
    *,
    observe: Observe | None = None,
    reader: Reader | None = None,
    progress: Progress = silent,
) -> BatchSummary:
    """Score what is new in an inbox, each content once.

    ``out`` holds one parquet per recording, named by the hash of its content. These are the
    ledger: a recording is done when its table is there, and a table appears whole or not at all,
    so neither a crash nor a renamed copy scores one twice. A bad file has a table, too, with its
    reason, unless that lies outside the file (a package that is not installed, a disk that does
    not answer): then the next run tries again. ``content_hash`` in a table is the model's.

    Parameters
    ----------
    predictor : WindowScorer
    inbox, out : Path
        Folders. Files younger than ``params.settle_s`` wait for the next run.
    params : ScoringParams
    observe : callable, optional
        Windows → a table of statistics of their inputs, kept beside the scores for drift.
    reader, progress
        See ``batch.score_inputs``.

    Returns
    -------
    BatchSummary
        ``out`` is the folder; counts are of this run.
    """
    with given_or_process(reader) as opener:
        new, failed = _new_recordings(Path(inbox), Path(out), params.settle_s, opener)
        n_scored = 0
        for done, (key, item) in enumerate(new.items()):
            progress(done, len(new))
            seen: list[pd.DataFrame] = []
            scorer = _Observed(predictor, observe, seen) if observe else predictor
            part = Path(out) / f"{key}.parquet"
            table = score_into(part, scorer, item, params, None, opener, seen)
            n_scored += int(table["error"].isna().sum())
            failed += set_aside(table)
    progress(len(new), len(new))
    return BatchSummary(Path(out), None, n_scored, len(failed), 0, tuple(failed))


def read_inbox_scores(
    out: Path, newer_than_s: float | None = None, *, content_hash: str | None = None
) -> pd.DataFrame:
    """All scores that ``score_inbox`` wrote, without the files set aside.

    Parameters
    ----------
    out : Path
        Its output folder.
    newer_than_s : float, optional
        Only tables written in the last so many seconds.
    content_hash : str, optional
        Only what the model of this hash scored.
    """
    oldest = 0 if newer_than_s is None else time.time() - newer_than_s
    tables = [
        read_table(path)
        for path in sorted(Path(out).glob("*.parquet"))
        if path.stat().st_mtime >= oldest
    ]
    if not tables:
        return pd.DataFrame(columns=[*COLUMNS, MADE_BY])
    table = pd.concat(tables, ignore_index=True)
    kept = table["error"].isna()
    if content_hash is not None:
        kept &= table.get(MADE_BY, pd.Series(None, table.index, dtype=object)) == content_hash
    return table[kept].drop(columns="error").reset_index(drop=True)


def _new_recordings(
    inbox: Path, out: Path, settle_s: float, reader: Reader
) -> tuple[dict[str, Item], list[tuple[str, str]]]:
    """Key → what has no table yet, by path; those that cannot be read, and why."""
    if not inbox.is_dir():
        raise InputError(f"Inbox {inbox} is not a folder. Make it, or give another one.")
    settled = time.time() - settle_s
    new: dict[str, Item] = {}
    failed, names = [], None
    unread: list[OSError] = []
    found = list_recordings(paths_below(inbox, unread.append))
    for err in unread:
        folder = Path(err.filename)
        failed.append((unreadable_id(folder), reason(err, folder, unreadable_id(folder))))
    for path in found:
        # A folder of many parquet files, each of which is listed by itself.
        if path.is_dir() and is_parquet(path):
            continue
        try:
            if max(file.stat().st_mtime for file in [path, *files_of(path)]) > settled:
                continue
            content = reader.identify(path)
        except (InputError, OSError) as err:
            failed.append((unreadable_id(path), reason(err, path, unreadable_id(path))))
            continue
        key = content[:32]
        if not (out / f"{key}.parquet").exists() and key not in new:
            new[key] = recording_item(path, content)
            if is_parquet(path):  # its name is its stem, which another recording may have, too
                names = names or _names(out)
                new[key] = replace(new[key], id=names.take(new[key].id))
    return new, failed


def _names(out: Path) -> Names:
    """Names for new recordings; those of recordings that were scored are taken already."""
    names = Names()
    for path in sorted(out.glob("*.parquet")):
        table = read_table(path, ["id", "error"])
        for name in table.loc[table["error"].isna(), "id"].unique():
            names.take(name)
    return names


def recording_item(path: Path, content: str, *, keep_names: bool = False) -> Item:
    """A file whose content is known; a clinical recording is named by it."""
    item = item_of_file(path, keep_names=keep_names)
    if isinstance(item, WindowItem):
        return item
    return RecordingItem(path, item.id or f"recording-{content[:12]}", content)


def score_into(
    part: Path,
    predictor: WindowScorer,
    item: Item,
    params: ScoringParams,
    rename: Mapping[str, str] | None,
    reader: Reader,
    seen: Sequence[pd.DataFrame] = (),
) -> pd.DataFrame:
    """Score one input and keep its table, unless another time may succeed.

    Parameters
    ----------
    part : Path
        Written whole or not at all; ``content_hash`` in it is the model's.
    predictor, item, params
        See ``units.score_group``; a recording is opened here.
    rename : mapping of str to str, optional
    reader : Reader
    seen : sequence of DataFrame
        What ``predictor`` observed while it scored, kept beside the scores.
    """
    if isinstance(item, RecordingItem):
        item = opened(item, reader, Names(), params, rename)
    table = score_group(predictor, [item], params)
    if seen and table["error"].isna().all():
        table = pd.concat([table, pd.concat(seen, ignore_index=True)], axis=1)
    table = table.assign(**{MADE_BY: predictor.content_hash})
    if not table["transient"].any():
        save_part(part, table.drop(columns="transient"))
    release_memory()
    return table


def set_aside(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Id and reason of the inputs of a table that have no scores."""
    bad = table[table["error"].notna()]
    return list(zip(bad["id"], bad["error"], strict=True))


class _Observed:
    """A scorer that also keeps statistics of the windows it was given."""

    def __init__(self, scorer: WindowScorer, observe: Observe, seen: list[pd.DataFrame]) -> None:
        self.members, self.content_hash = scorer.members, scorer.content_hash
        self.device = scorer.device
        self._scorer, self._observe, self._seen = scorer, observe, seen

    def predict(self, windows: Sequence[Window], *, batch_size: int | None = None) -> object:
        scores = self._scorer.predict(windows, batch_size=batch_size)
        self._seen.append(self._observe(windows))
        return scores
