"""Made-up hospital recordings: EDF+ files whose annotations are the labels of three readers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal, Patient
from edfio import Recording as EdfRecording

from hms_pipeline.schema import CLASSES, EEG_COLUMNS, SFREQ

READERS = ("ann", "bob", "cyd")
RANGE_UV = 800.0
STEP_UV = 2 * RANGE_UV / 65_535
NAME = "Jane Doe"  # of every header; must not appear in anything that is written
RHYTHMS_HZ = (3.0, 1.0, 1.5, 1.2, 2.0, 0.0)  # a wave for each class, so that there is a pattern


@dataclass(frozen=True)
class Made:
    """A file and what is in it: microvolts, and (onset, duration, text) of its annotations."""

    path: Path
    eeg: np.ndarray
    marks: tuple[tuple[float, float, str], ...]


def write_edf_plus(
    path: Path,
    eeg: np.ndarray,
    marks: Sequence[tuple[float, float | None, str]] = (),
    *,
    start: dt.datetime = dt.datetime(2026, 3, 1, 22, 15, 0),
    columns: Sequence[str] = EEG_COLUMNS,
    sfreq: float = SFREQ,
) -> Path:
    """Write an array of shape (n_channels, n_times) in µV as EDF+ with a named patient."""
    reach = (-RANGE_UV, RANGE_UV)
    signals = [
        EdfSignal(
            row, sfreq, label=f"EEG {name}-Ref", physical_dimension="uV", physical_range=reach
        )
        for name, row in zip(columns, eeg.astype(float), strict=True)
    ]
    Edf(
        signals,
        patient=Patient(name=NAME.replace(" ", "_"), code="MRN12345"),
        recording=EdfRecording(startdate=start.date()),
        starttime=start.time(),
        annotations=[EdfAnnotation(*mark) for mark in marks],
    ).write(path)
    return path


def pause(path: Path, at_s: int, seconds: int) -> Path:
    """Let the time stamps of an EDF+'s records of 1 s tell of a pause."""
    content = path.read_bytes().replace(b"EDF+C", b"EDF+D")
    last = at_s
    while f"+{last + 1}\x14\x14\0".encode() in content:
        last += 1
    for second in range(last, at_s - 1, -1):
        old, new = (f"+{k}\x14\x14".encode() for k in (second, second + seconds))
        padded = old + b"\0" * (1 + len(new) - len(old))
        assert content.count(padded) == 1
        content = content.replace(padded, new + b"\0")
    path.write_bytes(content)
    return path


def noise(seed: int, seconds: float, sfreq: float = SFREQ) -> np.ndarray:
    """EEG-like noise, shape (20, n_times), µV."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sfreq)
    spectrum = np.fft.rfft(rng.normal(size=(len(EEG_COLUMNS), n)))
    freqs = np.fft.rfftfreq(n, 1 / sfreq)
    waves = np.fft.irfft(spectrum / np.maximum(freqs, 0.5), n)
    return 30 * waves / waves.std(axis=1, keepdims=True)


def write_hospital(folder: Path, n_files: int, seconds: float, every_s: float) -> list[Made]:
    """Write files in which three readers marked a stretch of 10 s every so often."""
    folder.mkdir(parents=True)
    made = []
    for number in range(n_files):
        rng = np.random.default_rng([7, number])
        eeg = noise(number, seconds)
        marks: list[tuple[float, float, str]] = []
        times = np.arange(eeg.shape[1]) / SFREQ
        for onset in np.arange(270.0, seconds - 320, every_s).tolist():
            kind = int(rng.integers(len(CLASSES)))
            near = (times >= onset - 20) & (times < onset + 30)
            wave = np.sin(2 * np.pi * RHYTHMS_HZ[kind] * rng.uniform(0.8, 1.2) * times[near])
            eeg[:, near] += rng.uniform(0, 50, len(eeg))[:, None] * wave
            for reader in READERS:
                said = kind if rng.random() < 0.7 else int(rng.integers(len(CLASSES)))
                marks.append((onset, 10.0, f"{reader}: {CLASSES[said]}"))
        path = write_edf_plus(
            folder / f"doe_jane_{number:02d}.edf", eeg, [*marks, (1.0, 0.0, NAME)]
        )
        made.append(Made(path, eeg, tuple(marks)))
    return made


def write_texts(path: Path) -> Path:
    """The table that says which annotations are labels."""
    rows = [f"{reader}: {name},{name},{reader}\n" for reader in READERS for name in CLASSES]
    path.write_text("text,class,reader\n" + "".join(rows))
    return path
