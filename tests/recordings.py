"""Recordings written by other libraries, and signals to put into them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import edfio
import mne
import numpy as np

from hms_pipeline.schema import EEG_COLUMNS


def noise(n_channels: int = 20, seconds: float = 4, sfreq: float = 200, seed: int = 0):
    """Smooth 30 µV noise below 20 Hz, shape (n_channels, n_times)."""
    rng = np.random.default_rng(seed)
    n = int(seconds * sfreq)
    freqs = np.fft.rfftfreq(n, 1 / sfreq)
    spectrum = np.fft.rfft(rng.normal(size=(n_channels, n)), axis=1) * (freqs < 20)
    waves = np.fft.irfft(spectrum, n, axis=1)
    return 30 * waves / waves.std()


def difference(eeg: np.ndarray, pair: tuple[str, str]) -> np.ndarray:
    """One derivation of the 20 columns."""
    a, b = (EEG_COLUMNS.index(site) for site in pair)
    return eeg[a] - eeg[b]


def write_edf(
    path: Path,
    eeg: np.ndarray,
    *,
    labels: Sequence[str] = EEG_COLUMNS,
    sfreq: float = 200,
    unit: str = "uV",
    record_s: float = 1.0,
) -> float:
    """Write EDF or BDF, by the path's ending, each channel on its own range.

    Returns
    -------
    float
        The largest error in the unit that the samples' bits leave.
    """
    make, whole = (
        (edfio.BdfSignal, edfio.Bdf) if path.suffix == ".bdf" else (edfio.EdfSignal, edfio.Edf)
    )
    n = int(eeg.shape[1] / sfreq / record_s + 1e-9) * round(sfreq * record_s)
    signals = [
        make(row[:n], sfreq, label=label, physical_dimension=unit, physical_range=limits(row))
        for row, label in zip(np.asarray(eeg, float), labels, strict=True)
    ]
    whole(signals, data_record_duration=record_s).write(path)
    steps = 2**24 if path.suffix == ".bdf" else 2**16
    return max(np.diff(signal.physical_range)[0] for signal in signals) / (steps - 1) / 2


def limits(row: np.ndarray) -> tuple[float, float]:
    """A channel's extremes, rounded outward to what eight characters hold."""
    low, high = float(row.min()), float(row.max())
    unit = 10.0 ** max(np.ceil(np.log10(max(-low, high, 1e-3))) - 5, -4)
    low, high = np.floor(low / unit) * unit, np.ceil(high / unit) * unit
    return float(f"{low:.6g}"), float(f"{max(high, low + unit):.6g}")


_WIDTHS = {"label": 16, "transducer": 80, "unit": 8, "low": 8, "high": 8, "least": 8, "most": 8,
           "filter": 80, "n_samples": 8, "reserved": 32}  # fmt: skip


def patch_header(path: Path, field: str, values: Sequence[bytes]) -> None:
    """Overwrite a field of an EDF header, of the first channels."""
    content = path.read_bytes()
    n = int(content[252:256])
    at = 256 + n * sum(list(_WIDTHS.values())[: list(_WIDTHS).index(field)])
    new = b"".join(value.ljust(_WIDTHS[field])[: _WIDTHS[field]] for value in values)
    path.write_bytes(content[:at] + new + content[at + len(new) :])


def restamp(
    path: Path, onsets: Sequence[float | None], kind: str = "EDF+D", text: bytes = b""
) -> None:
    """Give an EDF file a signal of annotations, with an onset (or none) in every record."""
    width = 120  # bytes of it in a record
    content = path.read_bytes()
    n, n_records = int(content[252:256]), int(content[236:244])
    first = 256 * (n + 1)
    fields, at = [], 256
    for name, size in _WIDTHS.items():
        new = {"label": b"EDF Annotations", "low": b"-1", "high": b"1", "least": b"-32768",
               "most": b"32767", "n_samples": str(width // 2).encode()}.get(name, b"")  # fmt: skip
        fields.append(content[at : at + n * size] + new.ljust(size))
        at += n * size
    head = content[:184] + str(first + 256).encode().ljust(8) + kind.encode().ljust(44)
    head += content[236:252] + str(n + 1).encode().ljust(4)
    size = (len(content) - first) // n_records
    records = [
        content[first + k * size : first + (k + 1) * size]
        + _stamp(onsets[k], text).ljust(width, b"\0")
        for k in range(n_records)
    ]
    path.write_bytes(head + b"".join(fields) + b"".join(records))


def _stamp(onset: float | None, text: bytes) -> bytes:
    if onset is None:
        return b""
    said = b"+%.10g" % onset
    return said + b"\x14\x14\0" + (said + b"\x14" + text + b"\x14\0" if text else b"")


def raw_array(eeg_uv: np.ndarray, names=EEG_COLUMNS, sfreq: float = 200) -> mne.io.RawArray:
    """A recording of MNE's in memory."""
    kinds = ["ecg" if name == "EKG" else "eeg" for name in names]
    info = mne.create_info(list(names), sfreq, kinds)
    return mne.io.RawArray(eeg_uv * 1e-6, info, verbose="error")


def write_brainvision(
    folder: Path, eeg: np.ndarray, *, samples: str = "rec", markers: str = ""
) -> Path:
    """A recording of three files, in millivolts; the file of samples may have another stem."""
    folder.mkdir(exist_ok=True)
    (folder / f"{samples}.eeg").write_bytes((eeg.T / 1e3).astype("<f4").tobytes())
    (folder / f"{samples}.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={samples}.eeg\n[Marker Infos]\n{markers}\n",
        encoding="latin-1",
    )
    rows = "\n".join(f"Ch{n + 1}={name},,1,mV" for n, name in enumerate(EEG_COLUMNS))
    (folder / "rec.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={samples}.eeg\nMarkerFile={samples}.vmrk\nDataFormat=BINARY\n"
        "DataOrientation=MULTIPLEXED\nNumberOfChannels=20\nSamplingInterval=5000\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{rows}\n",
        encoding="utf-8",
    )
    return folder / "rec.vhdr"
