"""What a format of recordings is: its endings, its files, and a function that opens it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from gzip import BadGzipFile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...catalogue import Catalogue, entry_maker
from ...system.errors import InputError

MOST_TEXT = 2**24  # bytes of a text file that are read
TOLERANCE_S = Fraction(1, 100)  # time stamps are rounded; two samples at 200 Hz
MICROVOLTS = {"µV": 1.0, "μV": 1.0, "uV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3}


class UnavailableError(InputError):
    """A recording could not be read, but may be read later; the fault is not in the file.

    A package is not installed, the file is not there, or its disk does not answer.
    """


def is_of_system(err: BaseException) -> bool:
    """Whether an error is one of the system; gzip calls wrong bytes an ``OSError``, too."""
    return isinstance(err, OSError) and not isinstance(err, BadGzipFile)


def is_transient(err: InputError | OSError) -> bool:
    """Whether reading failed for a reason outside the file, so that another time may succeed."""
    # Readers turn an error of the system into a sentence; it stays beside that as the context.
    system = getattr(err.__context__, "errno", None) is not None  # Arrow's errors of a file: None
    return system or is_of_system(err) or isinstance(err, UnavailableError)


def portable(err: InputError | OSError) -> InputError | OSError:
    """The same error in a type that a process can hand to another."""
    if isinstance(err, OSError):
        return err
    return (UnavailableError if is_transient(err) else InputError)(str(err))


@dataclass(frozen=True)
class SourceChannel:
    """A channel as its file describes it.

    Parameters
    ----------
    label : str
        The file's own.
    sfreq : Fraction
        Samples a second, exactly.
    has_unit : bool
        Whether the file states a unit of voltage; without one its numbers are taken as µV.
    fault : str or None
        Why its samples are no signal, such as ``"marked bad in the file"``.
    reference : str
        What the header names as the channel's reference beside its label; empty where it does not.
    """

    label: str
    sfreq: Fraction
    has_unit: bool = True
    fault: str | None = None
    reference: str = ""


@dataclass(frozen=True)
class Segment:
    """A stretch recorded without a pause.

    Parameters
    ----------
    onset : Fraction
        Seconds from the recording's start, pauses included.
    start : Fraction
        Seconds of samples that the file holds before it.
    duration : Fraction
        Seconds.
    """

    onset: Fraction
    start: Fraction
    duration: Fraction

    @property
    def end(self) -> Fraction:
        """Seconds from the recording's start to the segment's end."""
        return self.onset + self.duration


@dataclass(frozen=True)
class Source:
    """A recording as its file has it.

    Parameters
    ----------
    channels : tuple of SourceChannel
    segments : tuple of Segment
        In the order of time, without overlap.
    read : callable
        ``read(picks, start, stop)`` → ndarray, shape (n_picks, stop - start), float64 µV. Picks
        are places in ``channels``, all of one rate; samples are counted without pauses. Raises
        InputError where the file is damaged.
    remarks : tuple of str
        What the user should know; nothing of the header is quoted but labels.
    start_of_day_s : float or None
        When the recording starts by the recorder's clock, seconds after midnight; None if unknown.
    """

    channels: tuple[SourceChannel, ...]
    segments: tuple[Segment, ...]
    read: Callable[[Sequence[int], int, int], np.ndarray]
    remarks: tuple[str, ...] = ()
    start_of_day_s: float | None = None


@dataclass(frozen=True)
class Format:
    """A format of recordings.

    Parameters
    ----------
    name : str
    endings : tuple of str
        In lower case.
    open : callable
        Path → Source. Only labels, units, rates and times are looked at, never what the header
        says of the patient.
    parts : callable
        Path → further files that belong to the recording, those that are there.
    """

    name: str
    endings: tuple[str, ...]
    open: Callable[[Path], Source]
    parts: Callable[[Path], Iterable[Path]]


FORMATS: Catalogue[Format] = Catalogue("format")


def recording_format(
    name: str, *endings: str, parts: Callable[[Path], Iterable[Path]] = lambda _: ()
) -> Callable[[Callable[[Path], Source]], Callable[[Path], Source]]:
    """Register a function that opens recordings of one format; see ``Format``."""
    return entry_maker(FORMATS, lambda open_: Format(name, endings, open_, parts), name)


def beside(*endings: str) -> Callable[[Path], list[Path]]:
    """A function that finds the files with a recording's stem and one of these endings."""

    def parts(path: Path) -> list[Path]:
        names = [path.stem + spelt for e in endings for spelt in (e, e.upper())]
        return [file for file in map(path.with_name, names) if file != path and file.is_file()]

    return parts


def require_regular(path: Path) -> int:
    """Refuse what is no ordinary file (a pipe or a device never ends); its size in bytes.

    Raises
    ------
    InputError
    UnavailableError
        The file is not there.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise UnavailableError(f"File {path.name} does not exist. Correct its path.") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"A recording needs to be a regular file, but {path.name} is {_kind(found.st_mode)}."
            " Copy its content into a file."
        )
    return found.st_size


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; an error of the disk becomes an ``UnavailableError``."""
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as err:
        raise UnavailableError(
            f"{path.name} could not be read ({type(err).__name__}). Try again when its disk"
            " answers."
        ) from None


def read_part(path: Path, n: int, first: int = 0) -> bytes:
    """``n`` bytes from byte ``first`` on, or as many as there are."""
    with opened(path) as stream:
        stream.seek(first)
        return stream.read(n)


def read_text(path: Path) -> str:
    """What a header in text says."""
    return decoded(read_part(path, MOST_TEXT))


def exact(text: str) -> Fraction | None:
    """A number as its text has it; None where it is none, or none that a header may hold.

    Examples
    --------
    >>> exact(" 0,004 "), exact("1e99999999"), exact("nan")
    (Fraction(1, 250), None, None)
    """
    text = text.strip().replace(",", ".")
    try:
        return Fraction(text) if abs(float(text)) < 1e15 else None
    except ValueError:
        return None


def decoded(content: bytes) -> str:
    """Text in UTF-8 or, where it is none, in Latin-1."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _kind(mode: int) -> str:
    kinds = {"d": "a folder", "p": "a pipe", "s": "a socket"}
    return kinds.get(stat.filemode(mode)[0], "a device")


def joined(duration: Fraction, breaks: Iterable[tuple[Fraction, Fraction]]) -> tuple[Segment, ...]:
    """Segments of samples that the file stores one after the other.

    Parameters
    ----------
    duration : Fraction
        Seconds of samples.
    breaks : iterable of (Fraction, Fraction)
        Seconds of samples before a pause, and its length; 0 where that is unknown.
    """
    paused = Fraction(0)
    segments, start = [], Fraction(0)
    for position, pause in sorted(breaks):
        if start < position < duration:
            segments.append(Segment(start + paused, start, position - start))
            start = position
        if position < duration:
            paused += pause if segments else 0
    return (*segments, Segment(start + paused, start, duration - start))
