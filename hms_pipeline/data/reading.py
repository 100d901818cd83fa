"""Open recordings in a separate process, which hands over blocks of samples.

Readers of thirty formats crash, hang or take too much memory on odd files. Then only that process
ends, and only that file is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..schema import EEG_COLUMNS
from ..system.errors import InputError
from ..system.worker import Worker, WorkerError
from .clinical import open_clinical
from .content import content_hash, files_of, is_parquet
from .formats.format import UnavailableError
from .recording import open_parquet, read_eeg
from .window import cut

MEMORY_BYTES = 4 * 2**30  # most memory that reading one recording may take
PATIENCE_S = 60.0  # time to answer, beside the time that the file's bytes take on a slow disk
SLOWEST = 10e6  # speed of a slow disk, bytes a second


class Recording(Protocol):
    """Any stretch of a recording at 200 Hz.

    Attributes
    ----------
    name : str
        The file's name, for sentences.
    n_times : int
        Samples from its start to its end, pauses included.
    pauses : tuple of (int, int)
        See ``clinical.ClinicalRecording``.
    warnings : tuple of str
    """

    @property
    def name(self) -> str:
        """The file's name."""

    @property
    def n_times(self) -> int:
        """Length in samples."""

    @property
    def pauses(self) -> tuple[tuple[int, int], ...]:
        """Stretches without recording."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader has to say."""

    @property
    def source(self) -> dict[str, Any]:
        """See ``clinical.ClinicalRecording``, for a report."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples in µV, shape (20, stop - start); NaN outside the recording."""


class Reader(Protocol):
    """Names recordings by their content and opens them."""

    def identify(self, path: Path) -> str:
        """Hash of the recording's content."""

    def open(
        self, path: Path, rename: Mapping[str, str] | None, limits: Mapping[str, Any]
    ) -> Recording:
        """Open a recording and learn its length."""


@dataclass(frozen=True)
class ParquetRecording:
    """An EEG parquet of any length, read by row groups."""

    path: Path
    n_times: int
    pauses: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path) -> ParquetRecording:
        """Open a recording and learn its length."""
        read_eeg(path, 0, 1)  # columns and types, before the length
        return cls(path, open_parquet(path, path.name).metadata.num_rows)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def source(self) -> dict[str, Any]:
        """Nothing: it has the competition's rate and columns."""
        return {}

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples in µV, shape (20, stop - start); NaN outside the recording."""
        first = max(start, 0)
        if first >= min(stop, self.n_times):
            return np.full((len(EEG_COLUMNS), stop - start), np.nan, dtype=np.float32)
        return cut(read_eeg(self.path, first, stop), start - first, stop - start)


class DirectReader:
    """Reads in this process; for files that are trusted."""

    def identify(self, path: Path) -> str:
        """SHA-256 of a recording's content; see ``content.content_hash``."""
        return content_hash(path)

    def open(
        self, path: Path, rename: Mapping[str, str] | None, limits: Mapping[str, Any]
    ) -> Recording:
        """Open a parquet or a clinical recording.

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
            return ParquetRecording.open(path)
        return open_clinical(path, rename, **limits)


@dataclass(frozen=True)
class OpenedElsewhere:
    """A recording that a ``ReadingProcess`` holds open; the last one that it opened."""

    name: str
    n_times: int
    pauses: tuple[tuple[int, int], ...]
    warnings: tuple[str, ...]
    source: dict[str, Any]
    _path: Path
    _process: ReadingProcess

    def read(self, start: int, stop: int) -> np.ndarray:
        """A stretch, shape (20, stop - start), float32 µV; see ``ClinicalRecording.read``."""
        return self._process.call("read", self._path, start, stop)


class ReadingProcess:
    """Reads in a process of its own, which lives as long as no file ends it.

    Examples
    --------
    >>> with ReadingProcess() as reader:  # doctest: +SKIP
    ...     recording = reader.open(Path("rec.edf"), None, {})
    """

    def __init__(self) -> None:
        self._worker = Worker(__name__, MEMORY_BYTES)
        self._patience: tuple[Path, float] | None = None  # patience with the last path
        self._found: dict[Path, Facts] = {}  # files' state when they were identified or opened
        self._opened: Path | None = None

    def __enter__(self) -> ReadingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def identify(self, path: Path) -> str:
        """SHA-256 of a recording's content; see ``content.content_hash``."""
        if path != self._opened:  # else it is the content of what was opened
            self._found[path] = _facts(path)
        return self.call("identify", path)

    def open(
        self, path: Path, rename: Mapping[str, str] | None, limits: Mapping[str, Any]
    ) -> OpenedElsewhere:
        """Open a recording; see ``DirectReader.open``. Its files are those that were identified."""
        self._found.setdefault(path, _facts(path))
        self._opened = None
        facts = self.call("open_recording", path, dict(rename or {}), dict(limits))
        self._opened = path
        return OpenedElsewhere(*facts, _path=path, _process=self)  # type: ignore[misc]

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
        if self._patience is None or self._patience[0] != path:
            self._patience = path, _patience_s(path)
        try:
            answer = self._worker.call(function, path, *args, timeout_s=self._patience[1])
            known = self._found.get(path, {})
            if _facts_of(known) != known:
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


Facts = dict[Path, tuple[int, ...] | None]  # file → what changes when its content does


def _facts(path: Path) -> Facts:
    try:
        return _facts_of(files_of(path))
    except (InputError, OSError):
        return {}  # whoever reads the file reports this


def _facts_of(files: Iterable[Path]) -> Facts:
    return {file: _fact(file) for file in files}


def _fact(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _patience_s(path: Path) -> float:
    try:
        n_bytes = sum(file.stat().st_size for file in files_of(path))
    except (InputError, OSError):
        n_bytes = 0  # reading it raises the error
    return PATIENCE_S + n_bytes / SLOWEST


# ---------------------------------------------------------------- in the process
_held: dict[Path, Recording] = {}


def identify(path: Path) -> str:
    """See ``DirectReader.identify``."""
    with _sentences(path):
        return content_hash(path)


def open_recording(path: Path, rename: Mapping[str, str], limits: Mapping[str, Any]) -> tuple:
    """Open a recording and keep it for ``read``; what is to be known of it."""
    _held.clear()
    with _sentences(path):
        found = _held[path] = DirectReader().open(path, rename, limits)
    return found.name, found.n_times, found.pauses, found.warnings, found.source


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
        # An error of the system stays beside the sentence that it was turned into.
        transient = isinstance(err, UnavailableError) or hasattr(err.__context__, "errno")
        raise (UnavailableError if transient else InputError)(str(err)) from None
    except MemoryError:
        raise InputError(
            f"{path.name} needs more than {MEMORY_BYTES:,} bytes of memory to be read. Split it, or"
            " export it as EDF."
        ) from None
    except Exception as err:
        kind = UnavailableError if isinstance(err, OSError) else InputError
        raise kind(
            f"{path.name} could not be read ({type(err).__name__}). Check that the file is whole."
        ) from None
