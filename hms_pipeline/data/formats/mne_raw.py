"""Recordings that MNE reads; everything that is private to MNE is used here and nowhere else."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...system.errors import InputError
from .format import (
    MICROVOLTS,
    Segment,
    Source,
    SourceChannel,
    UnavailableError,
    is_of_system,
    joined,
)

_TYPES = ("eeg", "ecg", "bio", "misc")  # MNE's channel types that may hold EEG or EKG
# MNE's sentence where a reader lacks a package, and how to install that.
_LACKING = re.compile(r"module (\S+) is needed, but it could not be .*?pip install (\S+)", re.S)
_SKIP = "BAD_ACQ_SKIP"  # annotation: zeros stand where nothing was recorded
CUT = "boundary"  # annotation of EEGLAB: something was cut out here
# MNE's warnings that say a number or a name may be wrong; whatever else it warns of is not needed.
_DOUBTS = (
    "not referenced to the same",
    "not recognized, not scaling",
    "do not match",
    "doesn.t match",
)
_JOINTS = ("BAD boundary", "EDGE boundary", CUT)  # annotations: what follows was recorded later


def open_with_mne(
    path: Path, parts: Iterable[Path] = (), *, reader: str = "read_raw", **options: Any
) -> Source:
    """Open a recording with the reader that MNE has for its ending, or with another one.

    Parameters
    ----------
    path : Path
    parts : iterable of Path
        Further files of the recording that are known; another one that MNE reads is refused,
        because it would not be part of the recording's identity.
    reader : str
        Name of a function of ``mne.io``.
    **options
        Of that reader.

    Raises
    ------
    InputError
        MNE cannot read it.
    UnavailableError
        MNE or a package that it needs is not installed, or the disk does not answer.
    """
    raw = _read_raw(path, reader, options)
    foreign = {Path(file).name for file in raw.filenames if file} - {p.name for p in (path, *parts)}
    if foreign:
        raise InputError(
            f"{path.name} needs its samples in a file of its own stem, but names"
            f" {len(foreign)} of another. Rename {'it' if len(foreign) == 1 else 'them'}."
        )
    picks = [k for k, kind in enumerate(raw.get_channel_types()) if kind in _TYPES]
    sfreq = rational(float(raw.info["sfreq"]))
    faults = dict.fromkeys(raw.info["bads"], "marked bad in the file")
    channels = tuple(
        SourceChannel(label, sfreq, _has_unit(raw, label), faults.get(label))
        for label in (raw.ch_names[k] for k in picks)
    )
    scale = np.array([1e6 if channel.has_unit else 1.0 for channel in channels])

    def read(chosen: Sequence[int], start: int, stop: int) -> np.ndarray:
        with _quiet(path):
            values = raw.get_data(
                picks=[picks[k] for k in chosen], start=start, stop=stop, verbose="warning"
            )
        return scale[list(chosen), None] * values

    return Source(channels, _segments(raw, sfreq), read)


def first_behind(onset: Fraction, sfreq: Fraction) -> Fraction:
    """When the first sample behind a joint was recorded, which may be placed between two."""
    return ceil(onset * sfreq - Fraction(1, 1000)) / sfreq


def rational(sfreq: float) -> Fraction:
    """A rate as it was meant: the shortest decimal that single, else double precision stores.

    Examples
    --------
    >>> rational(199.97999572753906), rational(256.0), rational(199.98)
    (Fraction(9999, 50), Fraction(256, 1), Fraction(9999, 50))
    """
    single = np.float32(sfreq)
    return Fraction(str(single) if float(single) == sfreq else repr(sfreq))


def _read_raw(path: Path, reader: str, options: dict[str, Any]) -> Any:
    mne = need_mne(f"Reading {path.name}")
    with _quiet(path):
        return getattr(mne.io, reader)(path, preload=False, verbose="warning", **options)


def need_mne(what: str) -> ModuleType:
    """MNE, or UnavailableError with what needs it."""
    try:
        import mne
    except ImportError:
        raise UnavailableError(
            f"{what} needs MNE, which is not installed."
            " Install it with: pip install 'hms-pipeline[clinical]'."
        ) from None
    return mne


@contextlib.contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """What MNE prints is not shown; what it raises, which may be anything, becomes a sentence."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote the header
            for text in _DOUBTS:
                warnings.filterwarnings("error", f"(?s).*({text})")
            yield
    except Exception as err:
        raise _unreadable(path, err) from None


def _unreadable(path: Path, err: Exception) -> InputError:
    lacking = _LACKING.search(str(err)) if isinstance(err, RuntimeError) else None
    if lacking:
        return UnavailableError(
            f"Reading {path.name} needs the package {lacking[1]}, which is not installed."
            f" Install it with: pip install {lacking[2]}."
        )
    if isinstance(err, MemoryError):
        return InputError(
            f"{path.name} needs more memory than reading may take. Split it, or export it as EDF."
        )
    later = isinstance(err, ImportError) or is_of_system(err)
    kind = UnavailableError if later else InputError
    return kind(
        f"A recording that MNE reads is needed, but {path.name} could not be read"
        f" ({type(err).__name__}). Check that the file is whole and its ending right."
    )


def _has_unit(raw: Any, label: str) -> bool:
    # MNE gives volts where it knows the unit and the file's numbers where it does not.
    units = raw._orig_units
    return not units or units.get(label) in MICROVOLTS


def read_marks(path: Path) -> list[tuple[str, Fraction, Fraction]]:
    """Texts, onsets and durations in seconds of a file's annotations, also past its end."""
    import mne

    with _quiet(path):
        found = mne.read_annotations(path)
    return [
        (mark["description"], Fraction(mark["onset"]), Fraction(np.nan_to_num(mark["duration"])))
        for mark in found
    ]


def _segments(raw: Any, sfreq: Fraction) -> tuple[Segment, ...]:
    skips, breaks = [], []
    for mark in raw.annotations:
        at = first_behind(Fraction(mark["onset"] - raw.first_time), sfreq)
        if mark["description"] == _SKIP:
            skips.append((at, at + Fraction(round(mark["duration"] * float(sfreq))) / sfreq))
        elif mark["description"] in _JOINTS:
            breaks.append((at, Fraction(0)))
    segments = joined(raw.n_times / sfreq, breaks)
    for first, last in skips:
        segments = tuple(piece for segment in segments for piece in _without(segment, first, last))
    return segments


def _without(segment: Segment, first: Fraction, last: Fraction) -> Iterable[Segment]:
    """What is left of a segment without the samples from ``first`` to ``last`` seconds."""
    end = segment.start + segment.duration
    for a, b in ((segment.start, min(first, end)), (max(last, segment.start), end)):
        if a < b:
            yield Segment(segment.onset + a - segment.start, a, b - a)
