"""Many inputs → one table, resumable; a Kaggle submission; an inbox scored file by file.

Every group of windows, and every recording, is saved whole under a key made of its content, the
model's hash and the parameters. A killed run finds these parts and continues; the finished table
is put together from them and replaces them.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..config.files import atomic, hash_file
from ..config.scoring import ScoringParams
from ..data.competition import read_test
from ..data.window import Window
from ..ensemble.competition import check_submission
from ..schema import SUBMISSION_COLUMNS, InputError
from .inputs import RecordingItem, WindowItem, find_items, is_scorable
from .recording import Progress, RecordingScores, WindowScorer
from .units import COLUMNS, group, group_key, save_part, score_group, score_windows

log = logging.getLogger(__name__)

FLOAT_FORMAT = "%.9f"

Observe = Callable[[Sequence[Window]], pd.DataFrame]


@dataclass(frozen=True)
class BatchSummary:
    """What a run did.

    Parameters
    ----------
    out : Path
        The table of scores.
    errors : Path or None
        The table of inputs set aside with their reasons, where there are any.
    n_scored, n_failed : int
        Windows scored; inputs set aside.
    n_resumed : int
        Windows taken from an earlier, killed run.
    failed : tuple of (str, str)
        Id and reason of each input set aside.
    """

    out: Path
    errors: Path | None
    n_scored: int
    n_failed: int
    n_resumed: int
    failed: tuple[tuple[str, str], ...]


def score_inputs(
    predictor: WindowScorer,
    inputs: Sequence[Path],
    out: Path,
    params: ScoringParams,
    *,
    rename: Mapping[str, str] | None = None,
    keep_names: bool = False,
    on_recording: Callable[[RecordingScores], None] | None = None,
    progress: Progress | None = None,
) -> BatchSummary:
    """Score folders and files into one table.

    Parameters
    ----------
    predictor : WindowScorer
        Usually ``Predictor.open(bundle)``.
    inputs : sequence of Path
        See ``inputs.find_items``.
    out : Path
        ``.csv`` or ``.parquet``; columns ``id, start_s``, six ``*_vote``, ``members_used``,
        ``warnings``.
    params : ScoringParams
    rename : mapping of str to str, optional
        Labels of clinical files → electrodes.
    keep_names : bool
        Name clinical recordings by their files' stems.
    on_recording : callable, optional
        Told each recording's scores in full, for a report; then recordings that a killed run
        scored already are scored again.
    progress : callable, optional
        Called with inputs done and in all.

    Raises
    ------
    InputError
        An input does not exist, or every input was set aside.
    """
    out = Path(out)
    _check_ending(out)
    items = find_items(inputs, keep_names=keep_names)
    parts = out.parent / f".{out.name}.parts"
    done = n_resumed = 0
    kept = []
    for unit in group(items, params.chunk_windows):
        part = parts / f"{group_key(unit, predictor, params, rename)}.parquet"
        told = on_recording is not None and isinstance(unit[0], RecordingItem)
        if part.exists() and not told:
            n_resumed += len(pd.read_parquet(part, columns=["id"]))
        else:
            table = score_group(predictor, unit, params, rename, on_recording)
            save_part(part, table)
        kept.append(part)
        done += len(unit)
        if progress:
            progress(done, len(items))
    table = pd.concat([pd.read_parquet(part) for part in kept], ignore_index=True)
    summary = _finish(table, out, n_resumed)
    shutil.rmtree(parts, ignore_errors=True)
    return summary


def write_submission(
    predictor: WindowScorer,
    data: Path,
    out: Path,
    params: ScoringParams,
    *,
    progress: Progress | None = None,
) -> Path:
    """Score a competition's test set into ``submission.csv``, the same bytes each time.

    Parameters
    ----------
    predictor : WindowScorer
    data : Path
        The competition folder.
    out : Path
        Written in test.csv's order with nine decimals.
    params : ScoringParams
    progress : callable, optional

    Raises
    ------
    InputError
        A test file cannot be scored, or the table fails the competition's own checks.
    """
    expected = read_test(data)["eeg_id"]
    items = [item for item in find_items([data / "test.csv"]) if isinstance(item, WindowItem)]
    tables = []
    for unit in group(items, params.chunk_windows):
        tables.append(score_windows(predictor, unit, params.batch_windows))
        if progress:
            progress(sum(map(len, tables)), len(items))
    table = pd.concat(tables, ignore_index=True)
    bad = table[table["error"].notna()]
    if len(bad):
        raise InputError(
            f"A submission needs all {len(items)} test EEGs, but {len(bad)} cannot be scored; the"
            f" first: {bad['error'].iloc[0]}"
        )
    table = table.assign(eeg_id=table["id"].astype("int64")).set_index("eeg_id").loc[expected]
    table = table.reset_index()[list(SUBMISSION_COLUMNS)]
    check_submission(table, expected)
    with atomic(Path(out)) as temporary:
        _to_csv(table, temporary)
    check_submission(pd.read_csv(out), expected)
    return Path(out)


def score_inbox(
    predictor: WindowScorer,
    inbox: Path,
    out: Path,
    params: ScoringParams,
    *,
    observe: Observe | None = None,
    rename: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> BatchSummary:
    """Score what is new in an inbox, each content once.

    ``out`` holds one parquet per file, named by the hash of its content. These are the ledger: a
    file is done when its table is there, and a table appears whole or not at all, so neither a
    crash nor a renamed copy scores a file twice. A bad file has a table, too, with its reason.

    Parameters
    ----------
    predictor : WindowScorer
    inbox, out : Path
        Folders. Files younger than ``params.settle_s`` wait for the next run.
    params : ScoringParams
    observe : callable, optional
        Windows → a table of statistics of their inputs, kept beside the scores for drift.
    rename, progress
        See ``score_inputs``.

    Returns
    -------
    BatchSummary
        ``out`` is the folder; counts are of this run.
    """
    new = _new_files(Path(inbox), Path(out), params.settle_s)
    n_scored, failed = 0, []
    for done, (key, path) in enumerate(new.items()):
        if progress:
            progress(done, len(new))
        table = _score_file(predictor, path, params, rename, observe)
        save_part(Path(out) / f"{key}.parquet", table)
        n_scored += int(table["error"].isna().sum())
        failed += [(row.id, row.error) for row in table[table["error"].notna()].itertuples()]
    if progress:
        progress(len(new), len(new))
    return BatchSummary(Path(out), None, n_scored, len(failed), 0, tuple(failed))


def read_inbox_scores(out: Path, newer_than_s: float | None = None) -> pd.DataFrame:
    """All scores that ``score_inbox`` wrote, without the files set aside.

    Parameters
    ----------
    out : Path
        Its output folder.
    newer_than_s : float, optional
        Only tables written in the last so many seconds.
    """
    oldest = 0 if newer_than_s is None else time.time() - newer_than_s
    tables = [
        pd.read_parquet(path)
        for path in sorted(Path(out).glob("*.parquet"))
        if path.stat().st_mtime >= oldest
    ]
    if not tables:
        return pd.DataFrame(columns=[*COLUMNS])
    table = pd.concat(tables, ignore_index=True)
    return table[table["error"].isna()].drop(columns="error").reset_index(drop=True)


def _new_files(inbox: Path, out: Path, settle_s: float) -> dict[str, Path]:
    if not inbox.is_dir():
        raise InputError(f"Inbox {inbox} is not a folder. Make it, or give another one.")
    settled = time.time() - settle_s
    files = [
        path
        for path in sorted(inbox.rglob("*"))
        if path.is_file() and is_scorable(path) and path.stat().st_mtime <= settled
    ]
    by_content = {hash_file(path)[:32]: path for path in reversed(files)}
    return {
        key: by_content[key]
        for key in sorted(by_content, key=lambda key: by_content[key])
        if not (out / f"{key}.parquet").exists()
    }


def _score_file(
    predictor: WindowScorer,
    path: Path,
    params: ScoringParams,
    rename: Mapping[str, str] | None,
    observe: Observe | None,
) -> pd.DataFrame:
    (item,) = find_items([path])
    seen: list[pd.DataFrame] = []
    scorer = predictor if observe is None else _Observed(predictor, observe, seen)
    table = score_group(scorer, [item], params, rename)
    if seen and table["error"].isna().all():
        table = pd.concat([table, pd.concat(seen, ignore_index=True)], axis=1)
    return table


class _Observed:
    """A scorer that also keeps statistics of the windows it was given."""

    def __init__(self, scorer: WindowScorer, observe: Observe, seen: list[pd.DataFrame]) -> None:
        self.members, self.content_hash = scorer.members, scorer.content_hash
        self._scorer, self._observe, self._seen = scorer, observe, seen

    def predict(self, windows: Sequence[Window], *, batch_size: int | None = None) -> object:
        scores = self._scorer.predict(windows, batch_size=batch_size)
        self._seen.append(self._observe(windows))
        return scores


def _finish(table: pd.DataFrame, out: Path, n_resumed: int) -> BatchSummary:
    bad = table["error"].notna()
    failed = tuple(table.loc[bad, ["id", "error"]].itertuples(index=False, name=None))
    errors = out.parent / f"{out.stem}.errors.csv"
    errors.unlink(missing_ok=True)
    if failed:
        with atomic(errors) as temporary:
            _to_csv(pd.DataFrame(failed, columns=["id", "reason"]), temporary)
    good = table.loc[~bad, list(COLUMNS)].reset_index(drop=True)
    if failed and good.empty:
        more = f" ({len(failed) - 1} more in {errors.name})" if len(failed) > 1 else ""
        raise InputError(f"Nothing could be scored: {failed[0][1]}{more}")
    with atomic(out) as temporary:
        if out.suffix == ".parquet":
            good.to_parquet(temporary, index=False, compression="zstd")
        else:
            _to_csv(good, temporary)
    log.info("scored %d windows, set %d inputs aside", len(good), len(failed))
    return BatchSummary(out, errors if failed else None, len(good), len(failed), n_resumed, failed)


def _to_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, float_format=FLOAT_FORMAT, lineterminator="\n")


def _check_ending(out: Path) -> None:
    if out.suffix not in (".csv", ".parquet"):
        raise InputError(f"Scores are written as .csv or .parquet, but {out.name} was given.")
