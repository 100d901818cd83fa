"""GDF 1 and 2: sample types, units, rates side by side, segments."""

from __future__ import annotations

import struct
from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.formats.gdf import open_gdf
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import noise

KINDS = {"<i2": 3, "<i4": 5, "<f4": 16, "<f8": 17}


def write_gdf(
    path: Path,
    eeg: np.ndarray,
    *,
    version: str = "2.20",
    kind: str = "<i2",
    sfreq: int = 200,
    unit: int | bytes = 4275,
    segments: tuple[int, ...] = (),
    extra: np.ndarray | None = None,
) -> None:
    """Records of a second with digital = 20 × µV; ``extra`` is a channel of another rate."""
    rows = [*eeg] + ([extra] if extra is not None else [])
    n, n_records = len(rows), eeg.shape[1] // sfreq
    spr = [len(row) // n_records for row in rows]
    labels = [*EEG_COLUMNS[: len(eeg)], *(["Resp"] if extra is not None else [])]
    new = float(version) > 1.9
    head = bytearray(256)
    head[:8] = f"GDF {version}".encode()
    head[184 : 186 if new else 192] = (
        struct.pack("<H", n + 1) if new else struct.pack("<q", 256 * (n + 1))
    )
    head[236:252] = struct.pack("<qII", n_records, 1, 1)
    head[252:256] = struct.pack("<HH", n, 0) if new else struct.pack("<I", n)
    limit = "d" if new else "q"
    codes = unit.ljust(8) * n if isinstance(unit, bytes) else struct.pack(f"<{n}H", *[unit] * n)
    dimension = b" " * 6 * n + codes if new else codes
    fields = [b"".join(s.encode().ljust(16) for s in labels), b" " * 80 * n, dimension]
    fields += [struct.pack(f"<{n}d", *[v] * n) for v in (-1600.0, 1600.0)]
    fields += [struct.pack(f"<{n}{limit}", *[v] * n) for v in (-32_000, 32_000)]
    fields += [
        b" " * 80 * n,
        struct.pack(f"<{n}i", *spr),
        struct.pack(f"<{n}i", *[KINDS[kind]] * n),
    ]
    fields += [bytes(32 * n)]
    body = b"".join(
        (row[r * s : (r + 1) * s] * 20).round().astype(kind).tobytes()
        for r in range(n_records)
        for row, s in zip(rows, spr, strict=True)
    )
    m, rate = len(segments), struct.pack("<f", sfreq) if new else sfreq.to_bytes(3, "little")
    count = m.to_bytes(3, "little") + rate if new else rate + struct.pack("<I", m)
    events = b"\x01" + count + struct.pack(f"<{m}I", *(s + 1 for s in segments))
    events += struct.pack(f"<{m}H", *[0x7FFE] * m)
    path.write_bytes(bytes(head) + b"".join(fields) + body + events)


@pytest.mark.parametrize(("version", "unit"), [("1.25", b"uV"), ("2.20", 4275)])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_those_that_mne_finds(
    tmp_path: Path, version: str, unit: int | bytes, kind: str
) -> None:
    eeg = noise(seconds=10)
    write_gdf(tmp_path / "rec.gdf", eeg, version=version, kind=kind, unit=unit)
    ours = read_clinical(tmp_path / "rec.gdf")
    assert ours.warnings == ()
    np.testing.assert_allclose(ours.eeg, eeg, atol=0.026)
    if kind != "<f8":  # MNE counts its bytes otherwise
        raw = mne.io.read_raw_gdf(tmp_path / "rec.gdf", verbose="error")
        np.testing.assert_allclose(ours.eeg, raw.get_data() * 1e6, atol=1e-4)


@pytest.mark.parametrize(
    ("version", "unit", "per_uv"),
    [("1.25", b"mV", 1e-3), ("2.20", 4274, 1e-3), ("2.20", 4276, 1e3)],
)
def test_units(tmp_path: Path, version: str, unit: int | bytes, per_uv: float) -> None:
    eeg = noise(seconds=10)
    write_gdf(tmp_path / "rec.gdf", eeg * per_uv, version=version, unit=unit, kind="<f8")
    content = bytearray((tmp_path / "rec.gdf").read_bytes())
    first = 256 * 21  # unrounded samples
    values = (eeg * per_uv * 20).reshape(20, 10, 200).swapaxes(0, 1)
    content[first:] = values.astype("<f8").tobytes()
    (tmp_path / "rec.gdf").write_bytes(bytes(content))
    recording = read_clinical(tmp_path / "rec.gdf")
    assert recording.warnings == ()
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-4)


@pytest.mark.parametrize(("version", "unit"), [("1.25", b""), ("2.20", 0), ("2.20", 512)])
def test_a_unit_that_is_missing_is_microvolts_and_told(
    tmp_path: Path, version: str, unit: int | bytes
) -> None:
    eeg = noise(seconds=10)
    write_gdf(tmp_path / "rec.gdf", eeg, version=version, unit=unit)
    recording = read_clinical(tmp_path / "rec.gdf")
    assert any("no unit of voltage" in text for text in recording.warnings)
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.026)


@pytest.mark.parametrize("other_hz", [25, 800])
def test_what_stands_beside_the_eeg_changes_nothing(tmp_path: Path, other_hz: int) -> None:
    eeg = noise(seconds=20)
    extra = 300 * np.sin(np.arange(20 * other_hz) / other_hz)
    write_gdf(tmp_path / "rec.gdf", eeg, extra=extra)
    recording = read_clinical(tmp_path / "rec.gdf")
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.026)
    np.testing.assert_array_equal(recording.read(333, 1001), recording.eeg[:, 333:1001])


@pytest.mark.parametrize(("version", "unit"), [("1.25", b"uV"), ("2.20", 4275)])
def test_a_new_segment_is_a_pause_of_unknown_length(
    tmp_path: Path, version: str, unit: int | bytes
) -> None:
    write_gdf(tmp_path / "a.gdf", noise(seconds=60), version=version, unit=unit, segments=(0, 4000))
    recording = read_clinical(tmp_path / "a.gdf")
    assert recording.pauses == ((4000, 4000),)
    assert any("unknown length at 20 s" in text for text in recording.warnings)
    content = (tmp_path / "a.gdf").read_bytes()
    (tmp_path / "b.gdf").write_bytes(content[:-3])  # in its table of events
    damaged = read_clinical(tmp_path / "b.gdf")
    assert "The table of events is damaged, so pauses are not known." in damaged.warnings


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, b"BDF", "A GDF file needs"),
        (252, b"\xff\xff", "256 more a channel"),
        (244, bytes(8), "needs a duration"),
        (244, struct.pack("<II", 1, 2**32 - 1), "at most 100,000 Hz"),
        (236, struct.pack("<q", 2**62), "shorter than its header"),
        (184, b"\xff\xff", "whole data record"),
    ],
)
def test_absurd_headers_are_refused(tmp_path: Path, at: int, value: bytes, said: str) -> None:
    path = tmp_path / "rec.gdf"
    write_gdf(path, noise(seconds=10))
    content = path.read_bytes()
    path.write_bytes(content[:at] + value + content[at + len(value) :])
    if at == 236:
        assert any(said in text for text in read_clinical(path).warnings)
        return
    with pytest.raises(InputError, match=said):
        read_clinical(path)


@pytest.mark.parametrize("n_bytes", [0, 100, 255, 256, 600])
def test_a_file_cut_short_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "rec.gdf"
    write_gdf(path, noise(seconds=10))
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"rec\.gdf"):
        open_gdf(path)


def test_an_unknown_number_of_records_is_told(tmp_path: Path) -> None:
    eeg = noise(seconds=10)
    write_gdf(tmp_path / "rec.gdf", eeg)
    content = (tmp_path / "rec.gdf").read_bytes()
    (tmp_path / "rec.gdf").write_bytes(content[:236] + struct.pack("<q", -1) + content[244:])
    recording = read_clinical(tmp_path / "rec.gdf")
    assert any("a table of events at the file's end" in text for text in recording.warnings)
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.026)
