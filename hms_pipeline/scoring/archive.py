"""An archive of recordings → one data set, on as many machines as there are.

First all recordings are named by their content, then each content is scored once, both in batches
that a ``Spread`` runs wherever it likes: ``system.cluster`` on a Ray cluster, or four lines on
Spark (docs/how-to/scaling.md). All machines see recordings, model and data set at the same paths.

The data set is a folder of parquet files, one a recording, below ``model=<hash>``. A recording is
done when its file is there, and a file appears as a whole or not at all. So after a killed run or a
killed node, only what is missing is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..config.scoring import ScoringParams
from ..data.content import list_recordings, paths_below, unreadable_id
from ..data.reading import ReadingProcess
from ..system.errors import InputError, LostError
from ..system.files import read_table, to_json, write_json
from ..system.progress import Progress, silent
from .batch import BatchSummary
from .inbox import recording_item, score_into, set_aside
from .inputs import Item
from .recording import WindowScorer
from .units import reason

BATCH = 8  # recordings that one call scores, one after the other

Function = Callable[[Any], Any]
# Runs a function on some items, anywhere and in any order; gives each item with its result, or
# with a LostError where the process or the machine went away for good.
Spread = Callable[[Function, Sequence[Any]], Iterator[tuple[Any, Any]]]
Aside = list[tuple[str, str]]  # ids and reasons


@dataclass(frozen=True)
class Job:
    """How a machine scores a batch of recordings.

    Parameters
    ----------
    open : callable
        Opens the model there; such as ``partial(open_bundle, folder)``.
    content_hash : str
        The model's.
    out : Path
        Folder of the tables.
    params : ScoringParams
    rename : mapping of str to str, or None
    keep_names : bool
    """

    open: Callable[[], WindowScorer]
    content_hash: str
    out: Path
    params: ScoringParams
    rename: Mapping[str, str] | None = None
    keep_names: bool = False


def score_archive(
    job: Job, inputs: Sequence[Path], spread: Spread, progress: Progress = silent
) -> BatchSummary:
    """Score every recording below some folders once with one model.

    Parameters
    ----------
    job : Job
        Its ``out`` is the data set; the model's tables lie in a folder of their own there.
    inputs : sequence of Path
        Folders, searched to any depth, and files.
    spread : Spread
    progress : callable, optional
        Called with recordings done and in all.

    Returns
    -------
    BatchSummary
        ``out`` is the model's folder. Counts are of this run, ``n_resumed`` of recordings whose
        table was there.

    Raises
    ------
    InputError
        An input does not exist, or none holds a recording.
    """
    job = replace(job, out=job.out.resolve() / f"model={job.content_hash[:16]}")
    recordings = _recordings(inputs)
    _hold_settings(job)
    found, failed = _by_content(recordings, spread)
    new = {key: path for key, path in found.items() if not _table(job, key).exists()}
    n_scored, n_done = 0, len(found) - len(new)
    for batch, result in _each(partial(score_batch, job), list(new.items()), spread):
        if isinstance(result, LostError):
            failed += [(unreadable_id(path), str(result)) for _, path in batch]
        else:
            n_scored, failed = n_scored + result[0], failed + result[1]
        n_done += len(batch)
        progress(n_done, len(found))
    n_resumed = len(found) - len(new)
    return BatchSummary(job.out, None, n_scored, len(failed), n_resumed, tuple(failed))


def _hold_settings(job: Job) -> None:
    """Refuse a data set that was scored with other settings; its tables would look alike."""
    path = job.out / "_settings.json"  # readers of data sets ignore this name
    params = job.params.model_dump(mode="json")
    names = {"rename": dict(job.rename or {}), "keep_names": job.keep_names}
    settings = {"scoring": params, **names, "ids": "name-content"}  # see _distinct
    if path.exists() and path.read_text(encoding="utf-8") != to_json(settings):
        raise InputError(
            f"All tables of an archive need the same settings, but those in {job.out} have another"
            " section `scoring`, --rename or --keep-names, or ids of an earlier release. Give"
            " another --out."
        )
    write_json(path, settings)


def _recordings(inputs: Sequence[Path]) -> list[Path]:
    below: list[Path] = []
    for path in map(Path.resolve, inputs):
        if not path.exists():
            raise InputError(f"Input {path} does not exist. Give recordings, or a folder of them.")
        below += paths_below(path) if path.is_dir() else [path]
    found = list_recordings(dict.fromkeys(below))
    if not found:
        raise InputError("An archive needs recordings, but the inputs hold none. Give others.")
    return found


def _by_content(paths: list[Path], spread: Spread) -> tuple[dict[str, Path], Aside]:
    """Content → the first of its paths, in their order; those that cannot be read, and why."""
    keys: dict[Path, str] = {}
    failed: Aside = []
    for batch, result in _each(identify_batch, paths, spread):
        if isinstance(result, LostError):
            failed += [(unreadable_id(path), str(result)) for path in batch]
        else:
            keys |= {path: key for path, (key, why) in zip(batch, result, strict=True) if not why}
            failed += [(key, why) for key, why in result if why]
    return {keys[path]: path for path in reversed(paths) if path in keys}, failed


def _each(
    function: Function, items: Sequence[Any], spread: Spread
) -> Iterator[tuple[Sequence[Any], Any]]:
    """Run batches; recordings of a lost batch are run once more, one by one."""
    lost: list[Any] = []
    batches = [items[k : k + BATCH] for k in range(0, len(items), BATCH)]
    for batch, result in spread(function, batches) if batches else ():
        if isinstance(result, LostError):
            lost += batch
        else:
            yield batch, result
    yield from spread(function, [[item] for item in lost]) if lost else ()


# ---------------------------------------------------------------- on the machines
_opened: dict[str, WindowScorer] = {}  # the model, once a process


def identify_batch(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Key of each recording, and ""; or its id and why it cannot be read."""
    with ReadingProcess() as reader:
        return [_identify(path, reader) for path in paths]


def _identify(path: Path, reader: ReadingProcess) -> tuple[str, str]:
    try:
        return reader.identify(path), ""
    except (InputError, OSError) as err:
        return unreadable_id(path), reason(err, path, unreadable_id(path))


def score_batch(job: Job, batch: Sequence[tuple[str, Path]]) -> tuple[int, Aside]:
    """Score recordings, each into a table of its own; number of windows, and what was set aside.

    If a table exists already, an earlier attempt wrote it before its process or machine died, and
    its recording is not scored again.

    Raises
    ------
    InputError
        The model that opens here is another one.
    """
    n_scored, failed, predictor = 0, Aside(), _open(job)
    with ReadingProcess() as reader:
        for content, path in batch:
            part = _table(job, content)
            if part.exists():
                table = read_table(part)
            else:
                item = _distinct(recording_item(path, content, keep_names=job.keep_names), content)
                table = score_into(part, predictor, item, job.params, job.rename, reader)
            n_scored += int(table["error"].isna().sum())
            failed += set_aside(table)
    return n_scored, failed


def _distinct(item: Item, content: str) -> Item:
    """An item whose id ends with its content's hash: folders may hold files of one name."""
    end = content[:12]
    return item if item.id.endswith(end) else replace(item, id=f"{item.id}-{end}")


def _open(job: Job) -> WindowScorer:
    if job.content_hash not in _opened:
        predictor = job.open()
        if predictor.content_hash != job.content_hash:
            raise InputError(
                f"This machine needs the model {job.content_hash[:16]}, but opens"
                f" {predictor.content_hash[:16]}. Let all machines see the same folders."
            )
        _opened[job.content_hash] = predictor
    return _opened[job.content_hash]


def _table(job: Job, content: str) -> Path:
    return job.out / f"{content[:32]}.parquet"
