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
from collections.abc import Sequence
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
from .records import INT24, Records, Signal, scaled, stamped, whole_records

_ANNOTATIONS = ("edf annotations", "bdf annotations")
_PART = 256  # bytes of the header's first part, and of each channel in the second
_FIELDS = {"label": 16, "transducer": 80, "unit": 8, "low": 8, "high": 8, "least": 8, "most": 8,
           "filter": 80, "n_samples": 8, "reserved": 32}  # fmt: skip
# A record's onset in seconds: the first annotation is empty, others are none of a record.
_STAMP = re.compile(rb"([+-]\d+(?:\.\d*)?)\x14\x14")
_STAMP_BYTES = 64
_CLOCK = re.compile(r"([01]\d|2[0-3])[.:]([0-5]\d)[.:]([0-5]\d)")


@recording_format("edf", ".edf", ".bdf")
def open_edf(path: Path) -> Source:
    """Open an EDF, EDF+, BDF or BDF+ file; which of them it is, its first byte says.

    Channels may have any rates. The time stamps of the records, not the header, say where a
    recording paused. Other annotations are not read.
    """
    records, remarks, fixed = _records(path)
    picks = [k for k, signal in enumerate(records.signals) if not _is_annotations(signal)]
    segments, said = _segments(records, interrupted=fixed[192:197] in ("EDF+D", "BDF+D"))
    source = records.source(picks, segments, (*remarks, *said))
    return replace(source, start_of_day_s=_start_of_day_s(fixed[176:184], records))


def first_stamp_s(path: Path) -> float:
    """Seconds from an EDF+ header's start, which has whole ones, to the first sample."""
    return _first_stamp_s(_records(path)[0])


def _first_stamp_s(records: Records) -> float:
    found = _stamps(replace(records, n_records=1))[0]
    return float(found[1]) if found else 0.0


def _start_of_day_s(stated: str, records: Records) -> float | None:
    """When the first sample was recorded; None where the header states no time, or midnight."""
    found = _CLOCK.fullmatch(stated)
    if not found or not any(map(int, found.groups())):  # who removes a date leaves zeros
        return None
    hours, minutes, seconds = map(int, found.groups())
    return 3600 * hours + 60 * minutes + seconds + _first_stamp_s(records)


def _records(path: Path) -> tuple[Records, tuple[str, ...], str]:
    """Where the records lie, what to say of them, and the first part of the header."""
    size = require_regular(path)
    with opened(path) as stream:
        fixed = stream.read(_PART).decode("latin-1")
        n_signals = _n_signals(fixed, size, path)
        fields = _fields(stream.read(n_signals * _PART), n_signals)
    duration = exact(fixed[244:252])
    kind = INT24 if fixed[0] == "\xff" else "<i2"
    signals = tuple(_signal(field, kind, path) for field in fields)
    if all(map(_is_annotations, signals)):
        raise InputError(
            f"A recording needs channels with samples, but {path.name} holds annotations only."
            " Give the file with the EEG."
        )
    if duration is None or duration <= 0:
        raise InputError(
            f"A data record needs a duration in seconds, but the header of {path.name} states"
            f" {fixed[244:252].strip()!r}. Correct it, or export the recording again."
        )
    n_bytes = sum(signal.n_bytes for signal in signals)
    stated = int(exact(fixed[236:244]) or 0)
    first_byte = _first_byte(fixed, n_signals, size, max(0, stated) * n_bytes, path)
    n_records, remarks = whole_records(stated, size - first_byte, n_bytes, path.name)
    records = Records(path, signals, first_byte, n_records, duration)
    return records, remarks, fixed


def _n_signals(fixed: str, size: int, path: Path) -> int:
    stated = exact(fixed[252:256]) or Fraction(0)
    if stated.denominator != 1 or not 0 < stated < size // _PART:
        raise InputError(
            f"An EDF or BDF file needs a header of 256 bytes and 256 more a channel, but"
            f" {path.name} has {size} bytes and states {fixed[252:256].strip()!r} channels. Check"
            " that the file is whole and its ending right."
        )
    return int(stated)


def _first_byte(fixed: str, n_signals: int, size: int, n_bytes: int, path: Path) -> int:
    """Where the records begin; some headers are longer than their channels need.

    The number of records decides between what the header states and what its channels need. Where
    it is unknown, or the file is cut, the header is believed.
    """
    needed = _PART * (n_signals + 1)
    stated = exact(fixed[184:192])
    if stated is None or stated <= needed or (n_bytes and size - n_bytes == needed):
        return needed
    unknown = not n_bytes or size - n_bytes < needed
    if not (stated % _PART == 0 and stated < size if unknown else stated == size - n_bytes):
        raise InputError(
            f"An EDF or BDF header of {n_signals} channels has {needed} bytes, but that of"
            f" {path.name} states {float(stated):g}, and neither leaves the number of data records"
            " that it states. Export it again."
        )
    return int(stated)


def _is_annotations(signal: Signal) -> bool:
    return signal.label.lower() in _ANNOTATIONS


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
    limits = [
        float("nan") if (value := exact(field[name])) is None else float(value)
        for name in ("low", "high", "least", "most")
    ]
    return scaled(field["label"], int(n_samples), kind, limits, _per_unit(field["unit"]))


def _per_unit(unit: str) -> float | None:
    """Microvolts in a physical dimension; "uv" and "UV" are microvolts, "mv" and "MV" neither."""
    return 1.0 if unit.lower() in ("uv", "µv", "μv") else MICROVOLTS.get(unit)


def _segments(records: Records, *, interrupted: bool) -> tuple[Sequence[Segment], tuple[str, ...]]:
    whole = joined(records.n_records * records.duration_s, ())
    texts = _stamps(records)
    if not all(texts):
        if interrupted:
            raise InputError(
                f"A recording with pauses (EDF+D) needs a time stamp in every data record, but"
                f" record {texts.index(None) + 1} of {records.path.name} has none. Export it"
                " again."
            )
        return whole, ()
    onsets = [Fraction(text[1].decode()) for text in texts if text]
    if not interrupted and len(set(onsets)) == 1:
        return whole, ()  # some writers leave every stamp at 0
    return stamped(onsets, records.duration_s, records.path.name)


def _stamps(records: Records) -> list[re.Match[bytes] | None]:
    """The onset of every record, None where it states none."""
    picks = [k for k, signal in enumerate(records.signals) if _is_annotations(signal)]
    if not picks:
        return [None]
    return [_STAMP.match(text) for text in records.first_bytes(picks[0], _STAMP_BYTES)]
