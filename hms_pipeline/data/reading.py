"""Open recordings in a separate process, which hands over blocks of samples.

Readers of thirty formats crash, hang or take too much memory on odd files. Then only that process
ends, and only that file is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..schema import EEG_COLUMNS
from ..system.errors import InputError
from ..system.worker import Worker, WorkerError
from .clinical import ClinicalRecording, open_clinical
from .content import content_hash, files_of, is_parquet
from .formats.format import UnavailableError, is_of_system, portable

MEMORY_BYTES = 4 * 2**30  # most memory that reading one recording may take
PATIENCE_S = 60.0  # time to answer, beside the time that the file's bytes take on a slow disk
SLOWEST = 10e6  # speed of a slow disk, bytes a second
Pauses = tuple[tuple[int, int], ...]
Facts = tuple[str, int, Pauses, tuple[str, ...], dict[str, Any]]  # a ``Recording`` but for ``read``


@dataclass(frozen=True)
class Recording:
    """Any stretch of a recording at 200 Hz.

    Parameters
    ----------
    name : str
        The file's name, for sentences.
    n_times : int
        Samples from its start to its end, pauses included.
    pauses : tuple of (int, int)
        See ``clinical.ClinicalRecording``.
    warnings : tuple of str
        What the reader has to say.
    source : dict
        Rate, columns and derivations of a clinical recording, for a report.
    read : callable
        ``(start, stop)`` → samples in µV, shape (20, stop - start), float32; NaN outside the
        recording.
    """

    name: str
    n_times: int
    pauses: Pauses
    warnings: tuple[str, ...]
    source: dict[str, Any]
    read: Callable[[int, int], np.ndarray]


class Reader:
    """Names recordings by their content and opens them; in this process, if they are trusted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def identify(self, path: Path) -> str:
        """SHA-256 of a recording's content; see ``content.content_hash``."""
        return content_hash(path)

    def open(
        self, path: Path, rename: Mapping[str, str] | None, limits: Mapping[str, Any]
    ) -> Recording:
        """Open a parquet of any length or a clinical recording.

        Parameters
        ----------
        path : Path
        rename, limits
            See ``clinical.open_clinical``; ``limits`` are its keyword arguments.

        Raises
        ------
        InputError
            It cannot be read or used.
        """
        if is_parquet(path):
            return _open_parquet(path)
        found = open_clinical(path, rename, **limits)
        return Recording(*_facts(found), found.read)


def _facts(found: Recording | ClinicalRecording) -> Facts:
    return found.name, found.n_times, found.pauses, found.warnings, found.source


def _open_parquet(path: Path) -> Recording:
    """An EEG parquet of the competition's rate and columns, read by row groups."""
    # Arrow and pandas take 60 MB, and a process that reads clinical files alone needs neither.
    from .recording import open_parquet, read_eeg
    from .window import cut

    read_eeg(path, 0, 1)  # columns and types, before the length
    n_times = open_parquet(path, path.name).metadata.num_rows

    def read(start: int, stop: int) -> np.ndarray:
        first = max(start, 0)
        if first >= min(stop, n_times):
            return np.full((len(EEG_COLUMNS), stop - start), np.nan, dtype=np.float32)
        return cut(read_eeg(path, first, stop), start - first, stop - start)

    return Recording(path.name, n_times, (), (), {}, read)


class ReadingProcess(Reader):
    """Reads in a process of its own, which lives as long as no file ends it.

    Examples
    --------
    >>> with ReadingProcess() as reader:  # doctest: +SKIP
    ...     recording = reader.open(Path("rec.edf"), None, {})
    """

    def __init__(self) -> None:
        self._worker = Worker(__name__, MEMORY_BYTES)
        self._found: dict[Path, FileStates] = {}  # files' state when they were identified or opened
        self._opened: Path | None = None

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def identify(self, path: Path) -> str:
        """SHA-256 of a recording's content; see ``content.content_hash``."""
        if path != self._opened:  # else it is the content of what was opened
            self._found[path] = _states(path)
        return self.call("identify", path)

    def open(
        self, path: Path, rename: Mapping[str, str] | None, limits: Mapping[str, Any]
    ) -> Recording:
        """As ``Reader.open``, whose last one is held; its files are those identified."""
        self._found.setdefault(path, _states(path))
        self._opened = None
        facts: Facts = self.call("open_recording", path, dict(rename or {}), dict(limits))
        self._opened = path
        return Recording(*facts, partial(self.call, "read", path))

    def call(self, function: str, path: Path, *args: Any) -> Any:
        """Call one of this module's functions in the process.

        Raises
        ------
        InputError
            The function's own, or the file ended the process, or made it hang.
        UnavailableError
            The process was killed from outside, a file changed since the recording was identified,
            or the function's own.
        """
        known = self._found.get(path, {})
        n_bytes = sum(state[2] for state in known.values() if state is not None)
        timeout_s = PATIENCE_S + n_bytes / SLOWEST
        try:
            answer = self._worker.call(function, path, *args, timeout_s=timeout_s)
            if _states_of(known) != known:
                self._opened = None
                raise UnavailableError(
                    f"{path.name} was changed or replaced while it was read. Read it again when it"
                    " is complete."
                )
            return answer
        except WorkerError as err:
            kind = UnavailableError if "SIGKILL" in str(err) else InputError
            raise kind(
                f"{path.name} could not be read: the program that reads it {err}. Export the"
                " recording again, as EDF."
            ) from None


def given_or_process(reader: Reader | None) -> AbstractContextManager[Reader]:
    """A caller's reader, which stays as it is, or a process that ends with the block."""
    return ReadingProcess() if reader is None else nullcontext(reader)


FileStates = dict[Path, tuple[int, ...] | None]  # file → what changes when its content does


def _states(path: Path) -> FileStates:
    try:
        return _states_of(files_of(path))
    except (InputError, OSError):
        return {}  # whoever reads the file reports this


def _states_of(files: Iterable[Path]) -> FileStates:
    return {file: _state(file) for file in files}


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


# ---------------------------------------------------------------- in the process
_held: dict[Path, Recording] = {}


def identify(path: Path) -> str:
    """See ``Reader.identify``."""
    with _sentences(path):
        return content_hash(path)


def open_recording(path: Path, rename: Mapping[str, str], limits: Mapping[str, Any]) -> Facts:
    """Open a recording and keep it for ``read``; what is to be known of it."""
    _held.clear()
    with _sentences(path):
        found = _held[path] = Reader().open(path, rename, limits)
    return _facts(found)


def read(path: Path, start: int, stop: int) -> np.ndarray:
    """A stretch of the recording that was opened last."""
    with _sentences(path):
        if path not in _held:
            raise InputError(f"{path.name} is not open any more. Open it again.")
        return _held[path].read(start, stop)


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn whatever is raised into a sentence, in a type that can be handed over."""
    try:
        yield
    except InputError as err:
        raise portable(err) from None
    except MemoryError:
        raise InputError(
            f"{path.name} needs more than {MEMORY_BYTES:,} bytes of memory to be read. Split it, or"
            " export it as EDF."
        ) from None
    except Exception as err:
        kind = UnavailableError if is_of_system(err) else InputError
        raise kind(
            f"{path.name} could not be read ({type(err).__name__}). Check that the file is whole."
        ) from None
