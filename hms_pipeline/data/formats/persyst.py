"""Persyst: a text header and a file of samples."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PureWindowsPath

from ...system.errors import InputError
from .format import TOLERANCE_S, Source, exact, joined, read_text, recording_format
from .mne_raw import open_with_mne

_NAMED = re.compile(r"^[ \t]*File[ \t]*=[ \t]*(\S[^\r\n]*)", re.I | re.M)
_TIMES = re.compile(r"^\[SampleTimes\]\s*$(.*?)(?=^\[|\Z)", re.I | re.M | re.S)
_HEADER = re.compile(r"^[ \t]*HeaderLength[ \t]*=[ \t]*(\d+)", re.I | re.M)
_MAP = re.compile(r"^\[ChannelMap\]\s*$(.*?)(?=^\[|\Z)", re.I | re.M | re.S)
_DAY_S = 86_400


def persyst_parts(path: Path) -> list[Path]:
    """The file of samples that the header names, else the one of its own stem."""
    if not path.is_file():
        return []
    names = [PureWindowsPath(name.strip()).name for name in _NAMED.findall(read_text(path))]
    names += [path.stem + ".dat", path.stem + ".DAT"]
    found = (path.with_name(name) for name in names if name)
    return list(dict.fromkeys(file for file in found if file != path and file.exists()))[:1]


@recording_format("persyst", ".lay", parts=persyst_parts)
def open_persyst(path: Path) -> Source:
    """Open a Persyst recording; the header's sample times tell of pauses."""
    text = read_text(path)
    _refuse_other_orders(text, path)
    source = open_with_mne(path, persyst_parts(path))
    duration = source.segments[-1].start + source.segments[-1].duration
    breaks = _breaks(text, source.channels[0].sfreq) if source.channels else ()
    return replace(source, segments=joined(duration, breaks))


def _refuse_other_orders(text: str, path: Path) -> None:
    """MNE takes the samples to begin at once, and the channels to be in the order listed."""
    header = _HEADER.search(text)
    numbers = [line.rpartition("=")[2].strip() for found in _MAP.findall(text)
               for line in found.splitlines() if "=" in line]  # fmt: skip
    if numbers != [str(k + 1) for k in range(len(numbers))] or (header and int(header[1])):
        raise InputError(
            "A Persyst recording needs HeaderLength 0 and channels numbered from 1 in order, but"
            f" {path.name} states {header[1] if header else 0} and {numbers[:20]}. Export it as"
            " EDF."
        )


def _breaks(text: str, sfreq: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    """Pauses between lines ``sample=second of the day``."""
    lines = [line.split("=") for found in _TIMES.findall(text) for line in found.split()]
    pairs = [(exact(line[0]), exact(line[1])) for line in lines if len(line) == 2]
    known = [
        (sample / sfreq, clock)
        for sample, clock in pairs
        if sample is not None and clock is not None
    ]
    for (before, earlier), (at, later) in itertools.pairwise(known):
        pause = (later - earlier) % _DAY_S - (at - before)
        if pause > TOLERANCE_S:
            yield at, pause
