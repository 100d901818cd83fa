"""Formats for which there is no writer: GDF and Persyst, by their descriptions alone.

References
----------
Schloegl, "GDF - A general dataformat for biosignals", arXiv cs/0608052, 2006.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np

from .drawn import Drawn

KINDS = {"|i1": 1, "<i2": 3, "<u2": 4, "<i4": 5, "<u4": 6, "<i3": 279, "<f4": 16, "<f8": 17}
CODES = {"V": 4256, "mV": 4274, "uV": 4275, "nV": 4276}  # of GDF 2
PER_UV = {"uV": 1.0, "mV": 1e-3, "V": 1e-6, "nV": 1e3}
NOON_S = 86_390  # of the day; midnight comes soon


def write_gdf(folder: Path, drawn: Drawn, record_s: Fraction) -> tuple[Path, float]:
    """GDF 1 or 2; every channel has its own range and sample type, some lie beside the EEG."""
    rng = np.random.default_rng(drawn.choice["seed"])
    new = bool(rng.integers(2))
    n_records = int(drawn.n_times / drawn.sfreq / record_s)
    rows = [
        (text, row * PER_UV[drawn.unit])
        for text, row in zip(drawn.labels, drawn.samples, strict=True)
    ]
    for k in range(int(rng.integers(0, 3))):  # at other rates
        place, n = int(rng.integers(len(rows) + 1)), int(rng.integers(1, 700)) * n_records
        rows.insert(place, (f"Beside {k}", 1000 * np.sin(np.arange(n))))
    channels, error = [], 0.0
    for _, row in rows:
        kind = str(rng.choice(list(KINDS)))
        spare = rng.uniform(0.01, 1, 2) * (np.ptp(row) + 1e-9)
        low, high = float(row.min() - spare[0]), float(row.max() + spare[1])
        least, most = (0, 1) if kind in ("<f4", "<f8") else limits(kind, rng)
        gain = (high - low) / (most - least)
        stored = least + (row - low) / gain
        if kind in ("<f4", "<f8"):
            rounded = stored.astype(kind)
        else:
            rounded = np.clip(np.rint(stored), least, most).astype(np.int64)
        channels.append((kind, low, high, least, most, rounded))
        if len(row) == drawn.n_times:
            off = np.abs(low + gain * (rounded.astype(float) - least) - row).max()
            error = max(error, off / PER_UV[drawn.unit])
    path = folder / "rec.gdf"
    head = header([text for text, _ in rows], channels, drawn.unit, new, n_records, record_s)
    path.write_bytes(head + body(channels, n_records) + events(new, rng, drawn))
    return path, error + 1e-9


def limits(kind: str, rng: np.random.Generator) -> tuple[int, int]:
    """Most of what a type counts."""
    bits = 8 * int(kind[2:])
    least, most = (0, 2**bits - 1) if kind[1] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return least + int(rng.integers(0, 50)), most - int(rng.integers(0, 50))


def header(
    labels: list[str], channels: list, unit: str, new: bool, n_records: int, record_s: Fraction
) -> bytes:
    n = len(labels)
    spare = int(new)  # GDF 2 may have further blocks of 256 bytes
    fixed = bytearray(256)
    fixed[:8] = b"GDF 2.20" if new else b"GDF 1.25"
    length = 256 * (n + 1 + spare)
    fixed[184:192] = struct.pack("<H6x", length // 256) if new else struct.pack("<q", length)
    fixed[236:252] = struct.pack("<qII", n_records, record_s.numerator, record_s.denominator)
    fixed[252:256] = struct.pack("<HH", n, 0) if new else struct.pack("<I", n)
    limit = "d" if new else "q"
    units = (
        bytes(6 * n) + struct.pack(f"<{n}H", *[CODES[unit]] * n)
        if new
        else unit.encode().ljust(8) * n
    )
    return b"".join(
        [
            bytes(fixed),
            b"".join(text.encode("latin-1")[:16].ljust(16) for text in labels),
            bytes(80 * n),
            units,
            *(struct.pack(f"<{n}d", *(channel[k] for channel in channels)) for k in (1, 2)),
            *(struct.pack(f"<{n}{limit}", *(channel[k] for channel in channels)) for k in (3, 4)),
            bytes(80 * n),
            struct.pack(f"<{n}I", *(len(channel[5]) // n_records for channel in channels)),
            struct.pack(f"<{n}I", *(KINDS[channel[0]] for channel in channels)),
            bytes(32 * n + 256 * spare),
        ]
    )


def body(channels: list, n_records: int) -> bytes:
    pieces = []
    for record in range(n_records):
        for kind, *_, values in channels:
            n = len(values) // n_records
            some = values[record * n : (record + 1) * n]
            if kind == "<i3":
                wide = some.astype("<i4").view(np.uint8).reshape(-1, 4)
                pieces.append(wide[:, :3].tobytes())
            else:
                pieces.append(some.astype(kind).tobytes())
    return b"".join(pieces)


def events(new: bool, rng: np.random.Generator, drawn: Drawn) -> bytes:
    """Some that are no pauses."""
    n = int(rng.integers(0, 4))
    rate = struct.pack("<f", float(drawn.sfreq)) if new else int(drawn.sfreq).to_bytes(3, "little")
    count = n.to_bytes(3, "little") + rate if new else rate + struct.pack("<I", n)
    places = rng.integers(1, drawn.n_times, n)
    return b"\x01" + count + places.astype("<u4").tobytes() + np.full(n, 0x0301, "<u2").tobytes()


def write_persyst(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """A header that tells of pauses by the time of day, and samples of 16 or 32 bits."""
    rng = np.random.default_rng(drawn.choice["seed"])
    kind, number = [("<i2", 0), ("<i4", 7)][int(rng.integers(2))]
    most = np.abs(drawn.samples).max()
    step = float(f"{max(most / 32_000, 0.001):.3g}") * float(rng.choice([1, 2]))
    rows = "\n".join(f"{text}={k + 1}" for k, text in enumerate(drawn.labels))
    times, paused = [f"0={NOON_S}"], Fraction(0)
    for place, pause in drawn.pauses:
        paused += pause
        clock = (NOON_S + place / drawn.sfreq + paused) % 86_400
        times.append(f"{place}={float(clock):.6f}")
    (folder / "rec.lay").write_text(
        "[FileInfo]\nFile=rec.dat\nFileType=Interleaved\n"
        f"SamplingRate={float(drawn.sfreq):g}\nHeaderLength=0\nCalibration={step!r}\n"
        f"WaveformCount={len(drawn.labels)}\nDataType={number}\n[ChannelMap]\n{rows}\n"
        "[SampleTimes]\n" + "\n".join(times) + "\n[Patient]\nFirst=A\nLast=B\n"
        "BirthDate=01/02/99\nSex=\nHand=\nTestDate=01/02/2020\nTestTime=23:59:50\n[Comments]\n",
        encoding="utf-8",
    )  # fmt: skip
    stored = np.rint(drawn.samples / step).astype(kind)
    (folder / "rec.dat").write_bytes(stored.T.tobytes())
    return folder / "rec.lay", step / 2 + 1e-9 * most
