"""Many inputs → one table, resumable; a Kaggle submission.

Every group of windows, and every recording, is saved whole under a key made of its content, the
model's hash and the parameters. A killed run finds these parts and continues; the finished table
is put together from them and replaces them. What failed is tried again: its reason may be gone.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..config.scoring import ScoringParams
from ..data.competition import read_test
from ..data.reading import Reader, given_or_process
from ..data.window_readers import window_readers
from ..ensemble.competition import check_submission
from ..schema import SUBMISSION_COLUMNS
from ..system.errors import InputError
from ..system.files import atomic, hash_bytes, hash_json, read_table, write_csv
from ..system.processes import release_memory
from ..system.progress import Progress, silent
from .inputs import Item, Names, RecordingItem, WindowItem, find_items, opened, refuse_empty
from .recording import RecordingScores, WindowScorer
from .units import COLUMNS, group, in_order, save_part, score_batches, score_group

log = logging.getLogger(__name__)

FLOAT_FORMAT = "%.9f"

TABLES = (".csv", ".parquet")
MOST_TABLES = 50  # tables that are held before they are joined

OnRecording = Callable[[RecordingScores], None]


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
    on_recording: OnRecording | None = None,
    is_reported: Callable[[str], bool] | None = None,
    reader: Reader | None = None,
    processes: bool = False,
    progress: Progress = silent,
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
        Called with each recording's scores in full, for a report. The name of a killed run's part
        says whether this was done.
    is_reported : callable, optional
        Says, by a recording's id, whether what ``on_recording`` made of it still exists. If not, a
        recording that a killed run scored already is scored again.
    reader : Reader, optional
        Opens recordings; by default in a separate process, so that a bad file cannot end this one.
    processes : bool
        Read many windows by several processes. A script that asks for it needs the guard
        ``if __name__ == "__main__"``, because they import the script.
    progress : callable, optional
        Called with inputs done and in all.

    Raises
    ------
    InputError
        ``out`` is a folder, an input does not exist, or every input was set aside.
    """
    out = Path(out)
    check_out(out, TABLES)
    names = Names()
    items = find_items(inputs, keep_names=keep_names, names=names)
    parts = out.parent / f".{out.name}.parts"
    meaning = params.model_dump(exclude={"batch_windows", "chunk_windows", "notable", "settle_s"})
    made_by = hash_json([predictor.content_hash, meaning, dict(rename or {})])
    done = n_resumed = 0
    tables = []
    n_windows = sum(isinstance(item, WindowItem) for item in items)
    remains = "run the command again, which keeps what it finished"
    n_read = n_windows if processes else 0
    with given_or_process(reader) as opener, window_readers(n_read, remains) as readers:
        for unit in group(items, params.chunk_windows):
            if isinstance(unit[0], RecordingItem):
                unit = [opened(unit[0], opener, names, params, rename)]
            key = hash_bytes(made_by.encode(), *(item.key().encode() for item in unit))
            part, known = _resumed(parts / f"{key}.parquet", unit[0], on_recording, is_reported)
            n_resumed += len(known)
            there = set(known["id"])
            rest = [item for item in unit if item.id not in there]
            if rest:
                scored = score_group(predictor, rest, params, on_recording, readers)
                known = in_order(pd.concat([known, scored]) if there else scored, unit)
                _keep(part, known)
            tables.append(known)
            if len(tables) >= MOST_TABLES:  # a table of few rows takes a hundred times their size
                tables = [pd.concat(tables, ignore_index=True)]
            release_memory()
            done += len(unit)
            progress(done, len(items))
    summary = _finish(pd.concat(tables, ignore_index=True), out, n_resumed)
    shutil.rmtree(parts, ignore_errors=True)
    return summary


def _resumed(
    part: Path,
    first: Item,
    on_recording: OnRecording | None,
    is_reported: Callable[[str], bool] | None,
) -> tuple[Path, pd.DataFrame]:
    """Where a group's scores are kept, and those that a killed run left."""
    told = part.with_suffix(".told.parquet")
    if on_recording is None or isinstance(first, WindowItem):
        return part, _known(part, told)
    return told, _known(told) if is_reported and is_reported(first.id) else _known()


def check_out(out: Path, endings: Sequence[str] = ()) -> None:
    """Refuse a place for a table that cannot hold one, before any work.

    Parameters
    ----------
    out : Path
    endings : sequence of str
        Those that are allowed; none given, any.

    Raises
    ------
    InputError
        It is a folder, or has another ending.
    """
    if out.is_dir():
        raise InputError(
            f"--out needs a file, but {out} is a folder. Name a file in it, such as"
            f" {out / 'scores.csv'}."
        )
    if endings and out.suffix not in endings:
        raise InputError(
            f"Scores are written as {' or '.join(endings)}, but {out.name} was given. Change its"
            " ending."
        )


def _known(*parts: Path) -> pd.DataFrame:
    """Scores of an earlier, killed run, of the first part there; what failed is not among them."""
    for part in parts:
        if part.exists():
            try:
                table = read_table(part)
            except InputError as err:
                log.warning("Kept scores are damaged, so the group is scored again: %s", err)
                continue
            return table[table["error"].isna()].reset_index(drop=True)
    return pd.DataFrame({"id": []})


def _keep(part: Path, table: pd.DataFrame) -> None:
    good = table[table["error"].isna()]
    if len(good):
        save_part(part, good)


@dataclass(frozen=True)
class Submission:
    """A submission that was written.

    Parameters
    ----------
    out : Path
    n_scored : int
    warnings : dict of str to int
        What was worked around, and in how many windows; the most frequent first.
    """

    out: Path
    n_scored: int
    warnings: dict[str, int]


def write_submission(
    predictor: WindowScorer,
    data: Path,
    out: Path,
    params: ScoringParams,
    *,
    processes: bool = False,
    progress: Progress = silent,
) -> Submission:
    """Score a competition's test set into ``submission.csv``, the same bytes each time.

    Parameters
    ----------
    predictor : WindowScorer
    data : Path
        The competition folder.
    out : Path
        Written in test.csv's order with nine decimals.
    params : ScoringParams
    processes : bool
        See ``score_inputs``.
    progress : callable, optional

    Raises
    ------
    InputError
        ``out`` is a folder, test.csv is empty or names an EEG twice, a test file cannot be
        scored, or the table fails the competition's own checks.
    """
    check_out(Path(out))
    expected = _expected(data)
    items = [item for item in find_items([data / "test.csv"]) if isinstance(item, WindowItem)]
    tables = []
    with window_readers(len(items) if processes else 0) as readers:
        for table in score_batches(predictor, items, params.batch_windows, readers):
            tables.append(table)
            progress(sum(map(len, tables)), len(items))
    table = pd.concat(tables, ignore_index=True)
    bad = table[table["error"].notna()]
    if len(bad):
        raise InputError(
            f"A submission needs all {len(items)} test EEGs, but {len(bad)} cannot be scored; the"
            f" first: {bad['error'].iloc[0]}"
        )
    warnings = table.loc[table["warnings"] != "", "warnings"].value_counts().to_dict()
    table = table.assign(eeg_id=table["id"].astype("int64")).set_index("eeg_id").loc[expected]
    table = table.reset_index()[list(SUBMISSION_COLUMNS)]
    check_submission(table, expected)
    write_csv(Path(out), table, FLOAT_FORMAT)
    check_submission(pd.read_csv(out), expected)
    return Submission(Path(out), len(table), warnings)


def _finish(table: pd.DataFrame, out: Path, n_resumed: int) -> BatchSummary:
    bad = table["error"].notna()
    failed = tuple(table.loc[bad, ["id", "error"]].itertuples(index=False, name=None))
    errors = out.parent / f"{out.stem}.errors.csv"
    errors.unlink(missing_ok=True)
    if failed:
        write_csv(errors, pd.DataFrame(failed, columns=["id", "reason"]))
    good = table.loc[~bad, list(COLUMNS)].reset_index(drop=True)
    if failed and good.empty:
        more = f" ({len(failed) - 1} more in {errors.name})" if len(failed) > 1 else ""
        raise InputError(f"Nothing could be scored: {failed[0][1]}{more}")
    if out.suffix == ".parquet":
        with atomic(out) as temporary:
            good.to_parquet(temporary, index=False, compression="zstd")
    else:
        write_csv(out, good, FLOAT_FORMAT)
    log.info("scored %d windows, set %d inputs aside", len(good), len(failed))
    return BatchSummary(out, errors if failed else None, len(good), len(failed), n_resumed, failed)


def _expected(data: Path) -> pd.Series:
    """The EEGs that a submission must answer for, in test.csv's order."""
    expected = read_test(data)["eeg_id"]
    refuse_empty(expected, "test")
    if expected.duplicated().any():
        raise InputError(
            f"test.csv needs each eeg_id once, but has {expected[expected.duplicated()].iloc[0]}"
            " more than once. Leave the repeated row out."
        )
    return expected
