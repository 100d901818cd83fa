"""European Data Format (EDF, EDF+) and its 24-bit sibling (BDF, BDF+).

References
----------
Kemp et al., "A simple format for exchange of digitized polygraphic recordings",
Electroencephalogr Clin Neurophysiol 1992.
Kemp and Olivan, "European data format 'plus' (EDF+), an EDF alike standard format for the
exchange of physiological data", Clin Neurophysiol 2003.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from ...system.errors import InputError
from .format import (
    MICROVOLTS,
    Segment,
    Source,
    decoded,
    exact,
    joined,
    opened,
    recording_format,
    require_regular,
)
from .records import INT24, Records, Signal, linear, stamped, whole_records

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_PART = 256  # bytes of the header's first part, and of each channel in the second
_FIELDS = {"label": 16, "transducer": 80, "unit": 8, "low": 8, "high": 8, "least": 8, "most": 8,
           "filter": 80, "n_samples": 8, "reserved": 32}  # fmt: skip
_STAMP = re.compile(rb"([+-]\d+(?:\.\d*)?)[\x14\x15]")  # a record's onset, in seconds
_STAMP_BYTES = 64


@recording_format("edf", ".edf", ".bdf")
def open_edf(path: Path) -> Source:
    """Open an EDF, EDF+, BDF or BDF+ file; which of them it is, its first byte says.

    Channels may have any rates. The time stamps of the records tell where a recording paused,
    whatever the header calls it. Other annotations are not read.
    """
    records, picks, remarks, interrupted = _read_header(path)
    segments, said = _segments(records, interrupted=interrupted)
    return records.source(picks, segments, (*remarks, *said))


def first_stamp_s(path: Path) -> float:
    """Seconds from an EDF+ header's start, which has whole ones, to the first sample."""
    records, *_ = _read_header(path)
    stamps = list(_stamps(replace(records, n_records=1)))
    return float(stamps[0] or 0) if stamps else 0.0


def _read_header(path: Path) -> tuple[Records, list[int], tuple[str, ...], bool]:
    """Records, the signals that are no annotations, remarks, and whether it says it paused."""
    size = require_regular(path)
    with opened(path) as stream:
        fixed = stream.read(_PART).decode("latin-1")
        n_signals = _n_signals(fixed, size, path)
        fields = _fields(stream.read(n_signals * _PART), n_signals)
    duration = exact(fixed[244:252])
    if duration is None or duration < 0:
        raise InputError(
            f"A data record needs a duration in seconds, but the header of {path.name} states"
            f" {fixed[244:252].strip()!r}. Correct it, or export the recording again."
        )
    kind = INT24 if fixed[0] == "\xff" else "<i2"
    signals = tuple(_signal(field, kind, path) for field in fields)
    picks = [k for k, signal in enumerate(signals) if signal.label not in ANNOTATIONS]
    if not picks or not duration:
        raise InputError(
            f"A recording needs channels with samples, but {path.name} holds annotations only."
            " Give the file with the EEG."
        )
    first_byte = _PART * (n_signals + 1)
    stated_byte = exact(fixed[184:192]) or Fraction(0)  # some headers are longer
    if stated_byte.denominator == 1 and first_byte < stated_byte < size:
        first_byte = int(stated_byte)
    n_bytes = sum(signal.n_bytes for signal in signals)
    stated = int(exact(fixed[236:244]) or 0)
    n_records, remarks = whole_records(stated, size - first_byte, n_bytes, path.name)
    records = Records(path, signals, first_byte, n_records, duration)
    return records, picks, remarks, fixed[192:197] in ("EDF+D", "BDF+D")


def _n_signals(fixed: str, size: int, path: Path) -> int:
    stated = exact(fixed[252:256]) or Fraction(0)
    if stated.denominator != 1 or not 0 < stated < size // _PART:
        raise InputError(
            f"An EDF or BDF file needs a header of 256 bytes and 256 more a channel, but"
            f" {path.name} has {size} bytes and states {fixed[252:256].strip()!r} channels. Check"
            " that the file is whole and its ending right."
        )
    return int(stated)


def _fields(header: bytes, n_signals: int) -> list[dict[str, str]]:
    fields: list[dict[str, str]] = [{} for _ in range(n_signals)]
    at = 0
    for name, width in _FIELDS.items():
        for field in fields:
            field[name] = decoded(header[at : at + width]).strip(" \0\t\r\n")
            at += width
    return fields


def _signal(field: dict[str, str], kind: str, path: Path) -> Signal:
    n_samples = exact(field["n_samples"])
    if n_samples is None or n_samples < 0 or n_samples.denominator != 1:
        raise InputError(
            f"A data record needs a whole number of samples of every channel, but the header of"
            f" {path.name} states {field['n_samples']!r} for {field['label']!r}. Export it again."
        )
    per_unit = _per_unit(field["unit"])
    low, high, least, most = (
        float("nan") if (value := exact(field[name])) is None else float(value)
        for name in ("low", "high", "least", "most")
    )
    gain, offset, fault = linear(low, high, least, most, per_unit or 1.0)
    return Signal(
        field["label"], int(n_samples), kind, gain, offset, per_unit is not None,
        fault if n_samples else "no samples",
    )  # fmt: skip


def _per_unit(unit: str) -> float | None:
    """Microvolts in a physical dimension; "uv" and "UV" are microvolts, "mv" and "MV" neither."""
    return 1.0 if unit.lower() in ("uv", "µv", "μv") else MICROVOLTS.get(unit)


def _segments(records: Records, *, interrupted: bool) -> tuple[Sequence[Segment], tuple[str, ...]]:
    whole = joined(records.n_records * records.duration_s, ())
    stamps = list(_stamps(records))
    onsets = [stamp for stamp in stamps if stamp is not None]
    if len(onsets) < len(stamps) and interrupted:
        raise InputError(
            f"A recording with pauses (EDF+D) needs a time stamp in every data record, but record"
            f" {stamps.index(None) + 1} of {records.path.name} has none. Export it again."
        )
    if not onsets or len(onsets) < len(stamps):
        return whole, ()
    if not interrupted and len(set(onsets)) == 1:
        return whole, ()  # some writers leave every stamp at 0
    return stamped(onsets, records.duration_s, records.path.name)


def _stamps(records: Records) -> Iterator[Fraction | None]:
    """When each record began, None where it does not say; nothing where no signal tells."""
    told = [k for k, signal in enumerate(records.signals) if signal.label in ANNOTATIONS]
    for text in records.first_bytes(told[0], _STAMP_BYTES) if told else ():
        found = _STAMP.match(text)
        yield Fraction(found[1].decode()) if found else None
