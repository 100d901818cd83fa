"""Files of equal data records, each holding a stretch of every channel one after the other.

EDF, BDF and GDF are such files. Whole records are read, so that channels of other rates beside
the EEG change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np

from ...system.errors import InputError
from .format import TOLERANCE_S, Segment, Source, SourceChannel, opened, read_part

MOST_RECORD_BYTES = 2**28  # a whole record is held in memory

INT24 = "<i3"  # of BDF and GDF; numpy has no such type


@dataclass(frozen=True)
class Signal:
    """One channel of every record.

    Parameters
    ----------
    label : str
    n_samples : int
        In a record.
    kind : str
        numpy's name of the sample type, or ``INT24``.
    gain, offset : float
        Microvolts = gain × sample + offset.
    has_unit, fault
        See ``SourceChannel``.
    """

    label: str
    n_samples: int
    kind: str = "<i2"
    gain: float = 1.0
    offset: float = 0.0
    has_unit: bool = True
    fault: str | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes of one record of this channel."""
        return self.n_samples * int(self.kind[2:])


@dataclass(frozen=True)
class Records:
    """Where the records of a file lie.

    Parameters
    ----------
    path : Path
    signals : tuple of Signal
        All of them, in the order in which a record holds them.
    first_byte : int
        Where the first record begins.
    n_records : int
    duration_s : Fraction
        Of a record.
    """

    path: Path
    signals: tuple[Signal, ...]
    first_byte: int
    n_records: int
    duration_s: Fraction

    @property
    def n_bytes(self) -> int:
        """Of a record."""
        return sum(signal.n_bytes for signal in self.signals)

    def read(self, picks: Sequence[int], start: int, stop: int) -> np.ndarray:
        """Samples of signals of one rate; see ``Source.read``."""
        n_samples = self.signals[picks[0]].n_samples
        first, last = start // n_samples, -(-stop // n_samples)
        records = self.bytes_of(first, last)
        edges = [0, *accumulate(signal.n_bytes for signal in self.signals)]
        out = np.empty((len(picks), (last - first) * n_samples))
        for row, pick in zip(out, picks, strict=True):
            signal = self.signals[pick]
            row[:] = _decode(records[:, edges[pick] : edges[pick + 1]], signal.kind)
            row *= signal.gain
            row += signal.offset
        return out[:, start - first * n_samples : stop - first * n_samples]

    def bytes_of(self, first: int, last: int) -> np.ndarray:
        """Records ``first`` to ``last``, shape (last - first, n_bytes), uint8."""
        wanted = (last - first) * self.n_bytes
        content = read_part(self.path, wanted, self.first_byte + first * self.n_bytes)
        if len(content) < wanted:
            raise InputError(
                f"{self.path.name} needs {self.n_records} data records, but ends before record"
                f" {first + len(content) // self.n_bytes + 1}. Copy it again."
            )
        return np.frombuffer(content, np.uint8).reshape(last - first, self.n_bytes)

    def first_bytes(self, pick: int, most: int) -> list[bytes]:
        """The first bytes of one signal in every record."""
        offset = self.first_byte + sum(signal.n_bytes for signal in self.signals[:pick])
        found = []
        with opened(self.path) as stream:
            for record in range(self.n_records):
                stream.seek(offset + record * self.n_bytes)
                found.append(stream.read(min(most, self.signals[pick].n_bytes)))
        return found

    def source(
        self, picks: Sequence[int], segments: Sequence[Segment], remarks: Sequence[str] = ()
    ) -> Source:
        """These records as a source of some of their signals."""
        channels = tuple(
            SourceChannel(s.label, s.n_samples / self.duration_s, s.has_unit, s.fault)
            for s in (self.signals[pick] for pick in picks)
        )

        def read(chosen: Sequence[int], start: int, stop: int) -> np.ndarray:
            return self.read([picks[k] for k in chosen], start, stop)

        return Source(channels, tuple(segments), read, tuple(remarks))


def whole_records(
    stated: int, available: int, n_bytes: int, name: str
) -> tuple[int, tuple[str, ...]]:
    """How many records can be read, and what to say where the header states another number.

    Parameters
    ----------
    stated : int
        By the header; 0 or less where the writer did not know.
    available : int
        Bytes behind the header.
    n_bytes : int
        Of a record.
    name : str
        The file's, for the sentence.

    Raises
    ------
    InputError
        There is none, or a record is too large to be held.
    """
    if n_bytes > MOST_RECORD_BYTES:
        raise InputError(
            f"A data record needs at most {MOST_RECORD_BYTES:,} bytes, but the header of {name}"
            f" states {n_bytes:,}. Correct its samples per record, or export it again."
        )
    there = available // n_bytes if n_bytes else 0
    if there < 1:
        raise InputError(
            f"A recording needs a whole data record of {n_bytes} bytes, but {name} has"
            f" {available} bytes of samples. Copy it again."
        )
    if stated <= 0 or stated == there:
        return there, ()
    if stated > there:
        return there, ("The file is shorter than its header says.",)
    return stated, ("The file is longer than its header says; the rest is left out.",)


def linear(
    low: float, high: float, least: float, most: float, per_unit: float
) -> tuple[float, float, str | None]:
    """Gain and offset in µV of a channel's two ranges, and what is wrong with these."""
    if not np.isfinite([low, high, least, most]).all():
        return 1.0, 0.0, "its range is no number"
    if high == low:
        return 0.0, low * per_unit, "physical range 0"
    if most == least:
        return 1.0, 0.0, "digital range 0"
    gain = (high - low) / (most - least)
    return gain * per_unit, (low - gain * least) * per_unit, None


def scaled(
    label: str, n_samples: int, kind: str, limits: Sequence[float], per_unit: float | None
) -> Signal:
    """A signal by the limits of its two ranges, as ``linear`` takes them, and its unit in µV."""
    low, high, least, most = limits
    gain, offset, fault = linear(low, high, least, most, per_unit or 1.0)
    fault = fault if n_samples else "no samples"
    return Signal(label, n_samples, kind, gain, offset, per_unit is not None, fault)


def _decode(records: np.ndarray, kind: str) -> np.ndarray:
    if kind != INT24:
        return np.ascontiguousarray(records).view(kind).ravel()
    wide = np.zeros((records.size // 3, 4), np.uint8)
    wide[:, 1:] = records.reshape(-1, 3)
    return wide.view("<i4").ravel() >> 8


def stamped(
    onsets: Sequence[Fraction], duration: Fraction, name: str
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Segments of records that each state when they began, and what to say of them.

    Where the clock and the samples drift apart a segment ends and the next begins in time: a short
    gap is left, or the samples that overlap are left out.

    Parameters
    ----------
    onsets : sequence of Fraction
        Seconds, one a record.
    duration : Fraction
        Seconds of a record.
    name : str
        The file's, for the sentence.

    Raises
    ------
    InputError
        A record begins before the one before it did.
    """
    segments: list[Segment] = []
    overlap = Fraction(0)
    for record, onset in enumerate(onsets):
        onset -= onsets[0]
        late = onset - segments[-1].end if segments else Fraction(0)
        if late <= -duration:
            raise InputError(
                f"Data records need to be in the order of their time stamps, but record"
                f" {record + 1} of {name} begins at {float(onset):g} s, before the one before it."
                " Export it again."
            )
        if segments and abs(late) <= TOLERANCE_S:
            segments[-1] = replace(segments[-1], duration=segments[-1].duration + duration)
            continue
        if late < 0:
            segments[-1] = replace(segments[-1], duration=segments[-1].duration + late)
            overlap -= late
        segments.append(Segment(onset, record * duration, duration))
    if not overlap:
        return tuple(segments), ()
    return tuple(segments), (
        f"Data records overlap in time by {float(overlap):.3g} s in all; what overlaps is left"
        " out.",
    )
