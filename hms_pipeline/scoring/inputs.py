"""What a user names on the command line → things to score, each with an id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import count
from pathlib import Path

import pandas as pd

from ..config.scoring import ScoringParams
from ..data.competition import eeg_path, read_test, read_train, spectrogram_path
from ..data.content import (
    content_hash,
    is_clinical,
    is_parquet,
    list_recordings,
    paths_below,
    unreadable_id,
)
from ..data.reading import Reader, Recording
from ..data.recording import open_parquet
from ..data.window import Window
from ..data.window_readers import TableReader, read_files
from ..schema import WINDOW_SAMPLES
from ..system.errors import InputError
from ..system.files import hash_bytes
from .sources import open_recording

NOT_OPEN = InputError("A recording needs to be open to be scored, but is not. Open it.")
RESERVED = "index"  # the name of a report's first page


@dataclass(frozen=True)
class WindowItem:
    """One 50 s window.

    Parameters
    ----------
    id : str
        ``eeg_id`` of test.csv, ``label_id`` of train.csv, or a parquet's stem.
    start_s : float
        Where it begins in its recording.
    files : tuple of Path
        What it is read from.
    load : callable
        Reads it; raises InputError. Another process can be asked to call it.
    """

    id: str
    start_s: float
    files: tuple[Path, ...]
    load: Callable[[], Window]

    def key(self) -> str:
        """Hash of the content it is read from."""
        hashes = [_file_key(path) for path in self.files]
        return hash_bytes(self.id.encode(), repr(self.start_s).encode(), *hashes)


@dataclass(frozen=True)
class RecordingItem:
    """A recording longer than a window, or one whose length is not known before it is read.

    Parameters
    ----------
    path : Path
    id : str
        Empty until the content gives it, for clinical recordings that keep no name.
    content : str
        SHA-256 of all its files; empty until they were read.
    recording : Recording or InputError or OSError
        It, once it is open, or why it is not.
    """

    path: Path
    id: str = ""
    content: str = ""
    recording: Recording | InputError | OSError = NOT_OPEN

    def key(self) -> str:
        """Hash of what it is made of."""
        return hash_bytes(self.id.encode(), self.content.encode())


Item = WindowItem | RecordingItem


class Names:
    """Gives every row of a table, and every page of a report, a name that no other has."""

    def __init__(self) -> None:
        self._taken = {RESERVED}

    def take(self, name: str) -> str:
        """The name, or it with the first free number; letters' case makes no difference.

        Examples
        --------
        >>> names = Names()
        >>> [names.take(name) for name in ("rec", "rec.2", "rec", "index")]
        ['rec', 'rec.2', 'rec.3', 'index.2']
        """
        free = (f"{name}.{n}" if n > 1 else name for n in count(1))
        found = next(text for text in free if text.casefold() not in self._taken)
        self._taken.add(found.casefold())
        return found


def opened(
    item: RecordingItem,
    reader: Reader,
    names: Names,
    params: ScoringParams,
    rename: Mapping[str, str] | None,
) -> RecordingItem:
    """A recording that is open, with its content's hash and a name that no other has."""
    content = item.content
    recording: Recording | InputError | OSError
    try:
        recording = open_recording(item.path, params, rename, reader)
    except (InputError, OSError) as err:
        recording = err
    try:  # the reader holds it to be the one that it opened
        content = content or reader.identify(item.path)
    except (InputError, OSError) as err:
        recording = err
    name = item.id or names.take(
        f"recording-{content[:12]}" if content else unreadable_id(item.path)
    )
    return RecordingItem(item.path, name, content, recording)


def find_items(
    inputs: Sequence[Path], *, keep_names: bool = False, names: Names | None = None
) -> list[Item]:
    """List what there is to score, under names that differ.

    Parameters
    ----------
    inputs : sequence of Path
        Competition folders (test.csv is preferred to train.csv; name the table itself to choose),
        other folders with EEG parquets in them, or clinical files in them or in folders below;
        EEG parquets; clinical files.
    keep_names : bool
        Use clinical files' stems as ids, which may hold patients' names.
    names : Names, optional
        Those that are taken; the items' are added.

    Raises
    ------
    InputError
        An input is missing, of an unknown kind, or a folder with nothing to score.
    """
    items = [item for path in inputs for item in _of_input(Path(path), keep_names)]
    taken = names or Names()
    return [replace(item, id=taken.take(item.id)) if item.id else item for item in items]


def need_inputs(inputs: Sequence[Path]) -> None:
    """Refuse inputs that ``find_items`` would refuse, without a look at every file of a folder."""
    for path in inputs:
        next(_of_input(path, keep_names=False), None)


def _of_input(path: Path, keep_names: bool) -> Iterator[Item]:
    if not path.exists():
        raise InputError(f"Input {path} does not exist. Give a folder, EEG parquet or EDF file.")
    if path.is_dir() and not is_clinical(path):
        yield from _of_folder(path, keep_names)
    elif path.name in ("test.csv", "train.csv"):
        yield from _of_table(path.parent, path.stem)
    else:
        yield item_of_file(path, keep_names=keep_names)


def _of_folder(folder: Path, keep_names: bool) -> Iterator[Item]:
    for split in ("test", "train"):
        if (folder / f"{split}.csv").exists():
            yield from _of_table(folder, split)
            return
    # As an inbox does; parquets in folders below may be tables of any kind.
    below = paths_below(folder)
    found = list_recordings(p for p in below if p.parent == folder or is_clinical(p))
    if not found:
        raise InputError(
            f"A folder needs test.csv, train.csv, EEG parquets or clinical files, but {folder} has"
            " none. Give another folder."
        )
    for path in found:
        yield item_of_file(path, keep_names=keep_names)


def _of_table(root: Path, split: str) -> Iterator[WindowItem]:
    table = read_test(root) if split == "test" else read_train(root)
    refuse_empty(table, split)
    id_column, reader = "eeg_id" if split == "test" else "label_id", TableReader(root, split)
    for row in table.sort_values("eeg_id", kind="stable").to_dict("records"):
        yield WindowItem(
            id=str(row[id_column]),
            start_s=float(row.get("eeg_label_offset_seconds", 0.0)),
            files=(
                eeg_path(root, row["eeg_id"], split),
                spectrogram_path(root, row["spectrogram_id"], split),
            ),
            load=partial(reader.read_usable, row),
        )


def refuse_empty(table: pd.DataFrame, split: str) -> None:
    """Raise InputError where test.csv or train.csv names no window."""
    if table.empty:
        raise InputError(
            f"{split}.csv needs a row for every window, but has none. Copy it again from the"
            " competition."
        )


def item_of_file(path: Path, *, keep_names: bool = False) -> Item:
    """One file as a window or a recording, by its ending and length.

    Parameters
    ----------
    path : Path
        An EEG parquet, or a clinical file or folder.
    keep_names : bool
        See ``find_items``.
    """
    if not is_parquet(path):
        return RecordingItem(path, path.stem if keep_names else "")
    try:
        n_times = open_parquet(path, path.name).metadata.num_rows
    except InputError:
        n_times = 0  # reported with its reason when its turn comes
    if n_times > WINDOW_SAMPLES:
        return RecordingItem(path, path.stem)
    spectrogram = _spectrogram_beside(path)
    files = (path,) if spectrogram is None else (path, spectrogram)
    return WindowItem(path.stem, 0.0, files, partial(read_files, path, spectrogram))


def _spectrogram_beside(path: Path) -> Path | None:
    """The spectrogram of ``test_eegs/<eeg_id>.parquet`` by the competition's test.csv."""
    root = path.parent.parent
    if path.parent.name != "test_eegs" or not (root / "test.csv").exists():
        return None
    spectrogram_id = _spectrogram_ids(root).get(path.stem)
    found = spectrogram_id and spectrogram_path(root, int(spectrogram_id), "test")
    return found if found and found.exists() else None


@lru_cache(maxsize=4)
def _spectrogram_ids(root: Path) -> dict[str, str]:
    table = read_test(root).astype(str)
    return dict(zip(table["eeg_id"], table["spectrogram_id"], strict=True))


def _file_key(path: Path) -> bytes:
    try:
        return content_hash(path).encode()
    except (InputError, OSError):
        return b"missing"
