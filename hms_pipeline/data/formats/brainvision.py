"""BrainVision: a text header that names a file of samples and one of markers.

References
----------
Brain Products, "BrainVision core data format 1.0", 2019.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from math import ceil
from pathlib import Path, PureWindowsPath

import numpy as np

from ...system.errors import InputError
from .format import (
    MICROVOLTS,
    TOLERANCE_S,
    Source,
    SourceChannel,
    exact,
    joined,
    read_part,
    read_text,
    recording_format,
    require_regular,
)
from .mne_raw import open_with_mne

_KINDS = {"INT_16": "<i2", "UINT_16": "<u2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}
_PARTS = {"datafile": (".eeg", ".dat", ".avg", ".seg"), "markerfile": (".vmrk",)}
_MOST_CHANNELS = 10_000
# Description, place, and where there are any size, channel and date.
_SEGMENT = re.compile(
    r"^Mk\d+=New Segment,[^,\r\n]*,(\d+)(?:,[^,\r\n]*,[^,\r\n]*(?:,(\d+))?)?", re.M
)

Sections = dict[str, dict[str, str]]


def brainvision_parts(path: Path) -> list[Path]:
    """The files that a header names, else those of its own stem; those that are there."""
    if not path.is_file():
        return []
    common = _sections(path).get("common infos", {})
    found = (_part(path, common, key) for key in _PARTS)
    return [file for file in found if file is not None]


@recording_format("brainvision", ".vhdr", parts=brainvision_parts)
def open_brainvision(path: Path) -> Source:
    """Open a BrainVision recording by its header.

    A recording that was renamed is found by the header's own stem. Markers tell of pauses; their
    file may be missing, unless the header says that segments were cut out and joined.
    """
    require_regular(path)
    sections = _sections(path)
    common = sections.get("common infos", {})
    samples = _samples_file(path, common)
    if (common.get("datatype") or "TIMEDOMAIN").upper() != "TIMEDOMAIN":
        raise _wrong(path, "DataType", "TIMEDOMAIN", common)
    n_channels, interval_s = _sizes(common, path)
    listed = len([key for key in sections.get("channel infos", {}) if key.startswith("ch")])
    if listed != n_channels:
        raise _wrong(path, "NumberOfChannels", f"{listed}, which it lists", common)
    channels, gains = _channels(sections.get("channel infos", {}), n_channels, 1 / interval_s)
    marks = _marks(_part(path, common, "markerfile"))
    breaks = list(_breaks(marks, interval_s))
    if (common.get("dataformat") or "BINARY").upper() != "BINARY":
        source = open_with_mne(path, [samples], overrides={"marker_fname": False})
        _require_marks(common, marks, int(source.segments[0].duration / interval_s), path)
        listed_too = {c.label: c for c in channels}  # MNE passes over the references
        found = tuple(
            replace(c, reference=listed_too[c.label].reference) if c.label in listed_too else c
            for c in source.channels
        )
        segments = joined(source.segments[0].duration, breaks)
        return replace(source, channels=found, segments=segments)
    kind = _kind(sections.get("binary infos", {}), path)
    n_times, rest = divmod(require_regular(samples), n_channels * np.dtype(kind).itemsize)
    _require_marks(common, marks, n_times, path)
    by_channel = common.get("dataorientation", "").upper() == "VECTORIZED"

    def read(picks: Sequence[int], start: int, stop: int) -> np.ndarray:
        n = stop - start
        if by_channel:
            rows = [_values(samples, kind, pick * n_times + start, n) for pick in picks]
            return gains[list(picks), None] * np.stack(rows)
        values = _values(samples, kind, start * n_channels, n * n_channels)
        return gains[list(picks), None] * values.reshape(n, n_channels).T[list(picks)]

    remarks = ("The file of samples ends within a sample.",) if rest else ()
    return Source(channels, joined(n_times * interval_s, breaks), read, remarks)


def _sections(path: Path) -> Sections:
    found: Sections = {}
    section: dict[str, str] = {}
    for line in read_text(path).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = found.setdefault(line.strip("[] ").lower(), {})
        elif "=" in line and not line.startswith(";"):
            key, value = line.split("=", 1)
            section.setdefault(key.strip().lower(), value.strip())
    return found


def _part(path: Path, common: dict[str, str], key: str) -> Path | None:
    named = PureWindowsPath(common.get(key, "").replace("$b", path.stem)).name
    names = [named] if named else []
    names += [path.stem + spelt for e in _PARTS[key] for spelt in (e, e.upper())]
    return next((file for file in map(path.with_name, names) if _is_there(file, key)), None)


def _is_there(file: Path, key: str) -> bool:
    # What is no regular file is refused as samples, and not needed as markers.
    return file.exists() if key == "datafile" else file.is_file()


def _samples_file(path: Path, common: dict[str, str]) -> Path:
    found = _part(path, common, "datafile")
    if found is None:
        there = sorted({file.suffix for file in path.parent.glob("*") if file.suffix})
        raise InputError(
            f"A BrainVision header needs its file of samples, but the one that {path.name} names is"
            f" not beside it, nor one of its own stem ending in {list(_PARTS['datafile'])}; files"
            f" there end in {there[:20]}. Copy all files of the recording, with one stem."
        )
    return found


def _sizes(common: dict[str, str], path: Path) -> tuple[int, Fraction]:
    n_channels, interval = (
        exact(common.get(key, "")) for key in ("numberofchannels", "samplinginterval")
    )
    if not n_channels or n_channels.denominator != 1 or not 0 < n_channels <= _MOST_CHANNELS:
        raise _wrong(path, "NumberOfChannels", f"1 to {_MOST_CHANNELS}", common)
    if not interval or interval < 0:
        raise _wrong(path, "SamplingInterval", "microseconds", common)
    return int(n_channels), interval / 1_000_000


def _kind(binary: dict[str, str], path: Path) -> str:
    kind = _KINDS.get(binary.get("binaryformat", "").upper())
    if kind is None:
        raise _wrong(path, "BinaryFormat", f"one of {list(_KINDS)}", binary)
    big = binary.get("usebigendianorder", "NO").upper() == "YES"
    return kind.replace("<", ">") if big else kind


def _wrong(path: Path, key: str, needed: str, section: dict[str, str]) -> InputError:
    return InputError(
        f"A BrainVision header needs {key} ({needed}), but {path.name} states"
        f" {section.get(key.lower(), '')!r}. Correct it, or export the recording again."
    )


def _channels(
    rows: dict[str, str], n_channels: int, sfreq: Fraction
) -> tuple[tuple[SourceChannel, ...], np.ndarray]:
    channels, gains = [], np.ones(n_channels)
    for k in range(n_channels):
        label, reference, step, unit = (
            text.replace(r"\1", ",").strip()
            for text in (rows.get(f"ch{k + 1}", "").split(",") + [""] * 4)[:4]
        )
        resolution = exact(step or "1")
        per_unit = MICROVOLTS.get(unit or "µV")
        gains[k] = float(resolution or 0) * (per_unit or 1.0)
        fault = None if resolution else "no resolution"
        channels.append(SourceChannel(label, sfreq, per_unit is not None, fault, reference))
    return tuple(channels), gains


def _values(samples: Path, kind: str, first: int, n: int) -> np.ndarray:
    width = np.dtype(kind).itemsize
    content = read_part(samples, n * width, first * width)
    if len(content) < n * width:
        raise InputError(
            f"{samples.name} became shorter while it was read. Copy the recording again."
        )
    return np.frombuffer(content, kind)


def _marks(markers: Path | None) -> list[tuple[str, str]]:
    """Places and dates of the marks at which segments begin, as text."""
    return [] if markers is None else _SEGMENT.findall(read_text(markers))


def _breaks(
    found: Sequence[tuple[str, str]], interval_s: Fraction
) -> Iterator[tuple[Fraction, Fraction]]:
    """Where new segments begin, and for how long nothing was recorded before; 0 where unknown."""
    before: tuple[Fraction, datetime | None] = Fraction(0), None
    for place, date in sorted(found, key=lambda mark: int(mark[0])):
        at, clock = (int(place) - 1) * interval_s, _clock(date)
        pause = Fraction(0)
        if clock is not None and before[1] is not None:
            passed = Fraction(round((clock - before[1]).total_seconds() * 1e6), 1_000_000)
            pause = passed - (at - before[0])
            if abs(pause) <= TOLERANCE_S:
                before = at, clock
                continue
        yield at, max(pause, Fraction(0))  # if the clock was set back, the length is unknown
        before = at, clock


def _require_marks(
    common: dict[str, str], marks: Sequence[tuple[str, str]], n_times: int, path: Path
) -> None:
    """Refuse segments that were cut out and joined, unless markers tell where each begins."""
    if (common.get("segmentationtype") or "NOTSEGMENTED").upper() == "NOTSEGMENTED":
        return
    begins = {1} | {int(place) for place, _ in marks if 1 < int(place) <= n_times}
    length = exact(common.get("segmentdatapoints", ""))  # stated where all have the same
    needed = ceil(n_times / length) if length and length > 0 else 2
    if len(begins) < needed:
        raise InputError(
            f"Segments that were cut out of a recording need markers (New Segment), but"
            f" {path.name} has {len(marks) or 'none'} for at least {needed} segments. Export the"
            " recording unsegmented, or its file of markers."
        )


def _clock(date: str) -> datetime | None:
    try:
        return datetime.strptime(date, "%Y%m%d%H%M%S%f")
    except ValueError:
        return None
