"""General Data Format for biosignals (GDF 1 and 2).

References
----------
Schloegl, "GDF - A general dataformat for biosignals", arXiv cs/0608052, 2006.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ...system.errors import InputError
from .format import MICROVOLTS, Source, joined, opened, recording_format, require_regular
from .records import INT24, Records, Signal, scaled, whole_records

_PART = 256  # bytes of the header's first part, and of each channel in the second
_KINDS = {1: "|i1", 2: "|u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<i8", 8: "<u8",
          16: "<f4", 17: "<f8", 279: INT24}  # fmt: skip
_CODES = {4256: 1e6, 4274: 1e3, 4275: 1.0, 4276: 1e-3}  # units of voltage in GDF 2, in µV
_NEW_SEGMENT = 0x7FFE  # event: what follows was recorded after a pause of unknown length
_MOST_EVENTS = 2**20
_UNKNOWN = (
    "The header does not state the number of data records; a table of events at the file's end"
    " would be read as its last seconds."
)


@recording_format("gdf", ".gdf")
def open_gdf(path: Path) -> Source:
    """Open a GDF file; channels may have any rates and sample types."""
    size = require_regular(path)
    with opened(path) as stream:
        fixed = stream.read(_PART)
        version = _version(fixed)
        n_signals = int.from_bytes(fixed[252 : 254 if version >= 1.9 else 256], "little")
        if version <= 0 or not 0 < n_signals < size // _PART:
            raise InputError(
                f"A GDF file needs a header of 256 bytes and 256 more a channel, but {path.name}"
                f" has {size} bytes and states {n_signals} channels. Check that the file is whole"
                " and its ending right."
            )
        signals = _signals(stream.read(_PART * n_signals), n_signals, version, path)
        stated, over, under = struct.unpack("<qII", fixed[236:252])
        first_byte = max(_first_byte(fixed, version), _PART * (n_signals + 1))
        n_bytes = sum(signal.n_bytes for signal in signals)
        n_records, remarks = whole_records(stated, size - first_byte, n_bytes, path.name)
        if stated <= 0:
            remarks = (*remarks, _UNKNOWN)
        stream.seek(first_byte + n_records * n_bytes)
        events = stream.read(8 + 6 * _MOST_EVENTS)
    if not over or not under:
        raise InputError(
            f"A data record needs a duration, but the header of {path.name} states"
            f" {over}/{under} s. Correct it, or export the recording again."
        )
    records = Records(path, signals, first_byte, n_records, Fraction(over, under))
    breaks = _breaks(events, version, max(s.n_samples for s in signals) / records.duration_s)
    if breaks is None:
        remarks = (*remarks, "The table of events is damaged, so pauses are not known.")
    segments = joined(n_records * records.duration_s, ((at, Fraction(0)) for at in breaks or ()))
    return records.source(range(n_signals), segments, remarks)


def _version(fixed: bytes) -> float:
    try:
        return float(fixed[3:8].strip(b" \0")) if fixed[:3] == b"GDF" else 0.0
    except ValueError:
        return 0.0


def _first_byte(fixed: bytes, version: float) -> int:
    if version >= 1.9:
        return _PART * int.from_bytes(fixed[184:186], "little")
    return int.from_bytes(fixed[184:192], "little")


def _signals(header: bytes, n: int, version: float, path: Path) -> tuple[Signal, ...]:
    labels = [header[16 * k : 16 * k + 16].decode("latin-1").strip(" \0") for k in range(n)]
    limits = np.frombuffer(header, "<f8", 4 * n, 104 * n).reshape(4, n).astype(float)
    if version < 1.9:
        limits[2:] = np.frombuffer(header, "<i8", 2 * n, 120 * n).reshape(2, n)
    n_samples, codes = np.frombuffer(header, "<u4", 2 * n, 216 * n).reshape(2, n).tolist()
    unknown = sorted(set(codes) - _KINDS.keys())
    if unknown:
        raise InputError(
            f"Samples of GDF need a type among {sorted(_KINDS)}, but {path.name} states {unknown}."
            " Export it again as integers of 16 or 24 bits."
        )
    kinds = [_KINDS[code] for code in codes]
    units = _per_unit(header, n, version)
    return tuple(map(scaled, labels, n_samples, kinds, limits.T.tolist(), units))


def _per_unit(header: bytes, n: int, version: float) -> list[float | None]:
    """Microvolts in each channel's unit; None where the unit is not one of voltage."""
    if version >= 1.9:
        return [_CODES.get(code) for code in np.frombuffer(header, "<u2", n, 102 * n).tolist()]
    texts = [header[96 * n + 8 * k : 96 * n + 8 * k + 8].decode("latin-1") for k in range(n)]
    return [MICROVOLTS.get(text.strip(" \0")) for text in texts]


def _breaks(events: bytes, version: float, fastest: Fraction) -> Sequence[Fraction] | None:
    """Where new segments begin, in seconds of samples; None where the table is damaged."""
    if len(events) < 8:
        return ()
    if version < 1.94:
        sfreq, n = float(int.from_bytes(events[1:4], "little")), *struct.unpack("<I", events[4:8])
    else:
        n, sfreq = int.from_bytes(events[1:4], "little"), *struct.unpack("<f", events[4:8])
    if len(events) < 8 + 6 * n:
        return None
    rate = Fraction(sfreq) if np.isfinite(sfreq) and sfreq > 0 else fastest
    places = np.frombuffer(events, "<u4", n, 8)
    kinds = np.frombuffer(events, "<u2", n, 8 + 4 * n)
    return [(int(place) - 1) / rate for place in places[kinds == _NEW_SEGMENT]]
