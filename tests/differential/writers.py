"""Drawn recordings as files, by edfio, pybv, eeglabio and MNE.

Each writer returns the file and the largest error in µV that its samples' precision leaves: half a
step where the writer rounds, a step where it cuts off.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import edfio
import eeglabio
import mne
import numpy as np
import pybv
from hypothesis import strategies as st

from hms_pipeline.schema import EKG

from ..recordings import limits, patch_header, restamp
from . import plain
from .drawn import Drawn, recordings

PER_UV = {"uV": 1.0, "µV": 1.0, "mV": 1e-3, "V": 1e-6, "nV": 1e3}
SINGLE = 2.0**-24  # relative precision of single precision, rounded


@dataclass(frozen=True)
class Writer:
    """A way to write recordings.

    Parameters
    ----------
    draw : strategy of Drawn
    write : callable
        ``write(folder, drawn)`` → path and error in µV.
    """

    draw: st.SearchStrategy[Drawn]
    write: Callable[[Path, Drawn], tuple[Path, float]]


def rational_rates(*durations: Fraction) -> st.SearchStrategy[Fraction]:
    """Rates of a whole number of samples in one of some durations."""
    return st.sampled_from(durations).flatmap(
        lambda s: st.integers(int(80 * s) + 1, int(1100 * s)).map(lambda n: Fraction(n) / s)
    )


USUAL = st.sampled_from([Fraction(r) for r in (100, 128, 200, 250, 256, 500, 512, 1000)])
RATES = USUAL | st.decimals(80, 1100, places=2).map(Fraction)
RECORDS = [Fraction(1, 2), Fraction(1), Fraction(3, 2), Fraction(2)]
RNG = np.random.default_rng


# ---------------------------------------------------------------- EDF and BDF, by edfio
def write_edf(folder: Path, drawn: Drawn, ending: str = ".edf") -> tuple[Path, float]:
    rng = RNG(drawn.choice["seed"])
    record_s = record_of(drawn.sfreq)
    path = folder / f"rec{ending}"
    wide = ending == ".bdf"
    signals, error = [], 0.0
    for row, text in zip(drawn.samples * PER_UV[drawn.unit], drawn.labels, strict=True):
        low, high = limits(row)
        spare = rng.uniform(0, 1) * (high - low)
        low, high = limits(np.array([low - spare, high + spare]))
        digital = digital_range(rng, 24 if wide else 16)
        make = edfio.BdfSignal if wide else edfio.EdfSignal
        signals.append(
            make(row, float(drawn.sfreq), label=text, physical_dimension=drawn.unit,
                 physical_range=(low, high), digital_range=digital)
        )  # fmt: skip
        low, high = signals[-1].physical_range  # as eight characters hold it
        step = (high - low) / (digital[1] - digital[0])
        error = max(error, step / 2 / PER_UV[drawn.unit])
    for k in range(int(rng.integers(0, 3))):  # what is recorded beside the EEG, at other rates
        n = int(rng.integers(1, 5)) * int(drawn.sfreq * record_s) if k else 1
        beside = 1000 * np.sin(np.arange(n * int(drawn.n_times / drawn.sfreq / record_s)))
        signals.insert(
            int(rng.integers(0, len(signals) + 1)),
            make(beside, float(n / record_s), label=f"Beside {k}", physical_dimension="%"),
        )
    marks = [edfio.EdfAnnotation(at, None, text) for at, text in drawn.marks]
    whole = edfio.Bdf if wide else edfio.Edf
    annotations = marks if rng.integers(2) and not drawn.pauses else None
    whole(signals, data_record_duration=float(record_s), annotations=annotations).write(path)
    return path, error


def write_edf_d(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """EDF+D, with Latin-1 texts."""
    path, error = write_edf(folder, drawn)
    record_s = record_of(drawn.sfreq)
    onsets, paused = [], Fraction(0)
    pauses = dict(drawn.pauses)
    for k in range(int(drawn.n_times / drawn.sfreq / record_s)):
        paused += pauses.get(int(k * record_s * drawn.sfreq), Fraction(0))
        onsets.append(float(k * record_s + paused))
    restamp(path, onsets, text="Augen geöffnet".encode("latin-1"))
    return path, error


def write_edf_reversed(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """Amplifiers that store the negative of what they measure; labels padded with NUL."""
    path, error = write_edf(folder, drawn)
    content = path.read_bytes()
    n = int(content[252:256])
    at = 256 + n * 104
    low, high = (content[at + k * 8 * n : at + (k + 1) * 8 * n] for k in (0, 1))
    digital = content[at + 16 * n : at + 32 * n]
    flipped = high + low  # physical
    swapped = b"".join(
        str(-int(digital[(1 - k) * 8 * n + 8 * i : (1 - k) * 8 * n + 8 * i + 8])).encode().ljust(8)
        for k in (0, 1)
        for i in range(n)
    )
    samples = -np.frombuffer(content[256 * (n + 1) :], "<i2").astype(int)
    path.write_bytes(
        content[:at] + flipped + swapped + content[at + 32 * n : 256 * (n + 1)]
        + samples.clip(-32768, 32767).astype("<i2").tobytes()
    )  # fmt: skip
    labels = [content[256 + 16 * k : 272 + 16 * k].rstrip().ljust(16, b"\0") for k in range(n)]
    patch_header(path, "label", labels)
    return path, error


def record_of(sfreq: Fraction) -> Fraction:
    """The shortest of the records' durations with whole samples."""
    return next(s for s in RECORDS if (s * sfreq).denominator == 1)


def digital_range(rng: np.random.Generator, bits: int) -> tuple[int, int]:
    """Most of what so many bits can count; symmetric, so that it can be reversed."""
    most = int(2 ** (bits - 1) * rng.uniform(0.5, 1)) - 1
    return -most, most


EDF = recordings(rational_rates(*RECORDS), ("uV", "mV", "V", "nV"), grid_of=record_of)
EDF_PAUSED = recordings(rational_rates(*RECORDS), ("uV", "mV"), pauses=True, grid_of=record_of)


# ---------------------------------------------------------------- BrainVision, by pybv
def write_brainvision(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    rng = RNG(drawn.choice["seed"])
    kind = str(rng.choice(["binary_int16", "binary_float32"]))
    values = drawn.samples
    most = np.abs(values).max(axis=1)
    step = np.maximum(0.01, np.ceil(most / 32_000 * 1e4) / 1e4)
    base = str(rng.choice(["rec", "Messung_ä", "a b"]))
    events = [
        {"onset": int(at * drawn.sfreq), "duration": 1, "description": text, "type": "Comment"}
        for at, text in drawn.marks
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units other than µV are unusual
        pybv.write_brainvision(
            data=values * 1e-6, sfreq=float(drawn.sfreq), ch_names=list(drawn.labels),
            fname_base=base, folder_out=folder, fmt=kind, resolution=step * PER_UV[drawn.unit],
            unit=drawn.unit, events=events,
        )  # fmt: skip
    if drawn.pauses:
        add_segments(folder / f"{base}.vmrk", drawn)
    # pybv cuts off what is below a step.
    error = step.max() if kind == "binary_int16" else most.max() * SINGLE
    return folder / f"{base}.vhdr", float(error)


def add_segments(markers: Path, drawn: Drawn) -> None:
    """Dated marks of new segments, as an amplifier writes them."""
    start = np.datetime64("2026-01-31T23:59:50.000000")
    lines = ["Mk900=New Segment,,1,1,0," + dated(start)]
    paused = Fraction(0)
    for k, (place, pause) in enumerate(drawn.pauses):
        paused += pause
        passed = round(float(place / drawn.sfreq + paused) * 1e6)
        when = dated(start + np.timedelta64(passed, "us"))
        lines.append(f"Mk{901 + k}=New Segment,,{place + 1},1,0,{when}")
    markers.write_text(markers.read_text(encoding="utf-8") + "\n".join(lines) + "\n", "utf-8")


def dated(when: np.datetime64) -> str:
    return "".join(c for c in str(when) if c.isdigit())


BRAINVISION = recordings(RATES, ("µV", "mV", "nV", "V"))
BRAINVISION_PAUSED = recordings(RATES, ("µV",), pauses=True)


# ---------------------------------------------------------------- FIF, by MNE
def raw_of(drawn: Drawn, step_uv: float = 1e6) -> mne.io.RawArray:
    """Of MNE's; channels that are no EEG are of other types."""
    kinds = ["ecg" if c == EKG else "eeg" if c else "misc" for c in drawn.columns]
    info = mne.create_info(list(drawn.labels), float(drawn.sfreq), kinds)
    with info._unlock():
        for channel in info["chs"]:
            channel["cal"] = step_uv * 1e-6
    first = int(RNG(drawn.choice["seed"]).integers(0, 1000))
    raw = mne.io.RawArray(drawn.samples * 1e-6, info, first_samp=first, verbose="error")
    onsets = [at + first / float(drawn.sfreq) for at, _ in drawn.marks]
    raw.set_meas_date(1_500_000_000)
    raw.set_annotations(
        mne.Annotations(onsets, 0.0, [text for _, text in drawn.marks], raw.info["meas_date"]),
        verbose="error",
    )
    return raw


def write_fif(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    rng = RNG(drawn.choice["seed"])
    kind = str(rng.choice(["short", "int", "single", "double"]))
    most = np.abs(drawn.samples).max()
    step = max(0.01, most / 32_000) if kind == "short" else 1e-3 if kind == "int" else 1e6
    path = folder / str(rng.choice(["rec_raw.fif", "rec_raw.fif.gz"]))
    raw_of(drawn, step).save(path, fmt=kind, verbose="error")
    # MNE cuts off what is below a step, and stores the step in single precision.
    error = step + 2 * most * SINGLE if kind in ("short", "int") else most * SINGLE
    return path, float(error) + 1e-9


def write_fif_parts(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """Samples that fill three parts of the smallest size."""
    raw = raw_of(drawn)
    naming = str(RNG(drawn.choice["seed"]).choice(["neuromag", "bids"]))
    raw.save(folder / "rec_raw.fif", fmt="double", buffer_size_sec=1, split_size="2MB",
             split_naming=naming, verbose="error")  # fmt: skip
    return min(folder.iterdir(), key=lambda file: (len(file.name), file.name)), 1e-9


def write_fif_skips(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """Stretches that were not recorded, as MNE stores them; whole buffers of a second."""
    step = int(drawn.sfreq)
    n_all = drawn.n_times + sum(int(pause * drawn.sfreq) for _, pause in drawn.pauses)
    raw = mne.io.RawArray(
        drawn.values(np.arange(n_all) / float(drawn.sfreq)) * 1e-6, raw_of(drawn).info,
        verbose="error",
    )  # fmt: skip
    onsets, paused = [], 0
    for place, pause in drawn.pauses:
        onsets.append((place + paused) / step)
        paused += int(pause * drawn.sfreq)
    raw.set_annotations(
        mne.Annotations(onsets, [float(pause) for _, pause in drawn.pauses], "BAD_ACQ_SKIP",
                        raw.info["meas_date"])
    )  # fmt: skip
    raw.save(folder / "rec_raw.fif", fmt="double", buffer_size_sec=1, verbose="error")
    return folder / "rec_raw.fif", 1e-9


def a_second(sfreq: Fraction) -> Fraction:
    return Fraction(1)


def whole_seconds(drawn: Drawn) -> Drawn:
    """The same with pauses of whole seconds, few enough to be stored as zeros."""
    drawn.pauses = tuple((place, Fraction(1 + int(pause) % 40)) for place, pause in drawn.pauses)
    return drawn


def longer(drawn: Drawn) -> Drawn:
    """The same with samples for several parts."""
    drawn.n_times = max(drawn.n_times, 600_000 // len(drawn.columns))
    return drawn


FIF = recordings(RATES)
FIF_PARTS = recordings(RATES, extra=1).map(longer)
FIF_SKIPS = recordings(USUAL, pauses=True, grid_of=a_second).map(whole_seconds)


# ---------------------------------------------------------------- EEGLAB, by eeglabio
def write_eeglab(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    rng = RNG(drawn.choice["seed"])
    precision = str(rng.choice(["single", "double"]))
    marks = [(text, at, 0.0) for at, text in drawn.marks]
    marks += [
        ("boundary", float(place / drawn.sfreq), float(pause)) for place, pause in drawn.pauses
    ]
    eeglabio.raw.export_set(
        str(folder / "rec.set"), drawn.samples * 1e-6, float(drawn.sfreq), list(drawn.labels),
        precision=precision,
        annotations=[np.array(column) for column in zip(*marks, strict=True)] if marks else None,
    )  # fmt: skip
    # MNE hands the samples of such a file over in single precision.
    return folder / "rec.set", float(np.abs(drawn.samples).max() * SINGLE * 2) + 1e-9


def write_eeglab_parts(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """Samples in a file beside the header."""
    import scipy.io

    path, error = write_eeglab(folder, drawn)
    fields = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
    fields["data"] = "rec.fdt"
    scipy.io.savemat(path, fields)
    (folder / "rec.fdt").write_bytes(drawn.samples.T.astype("<f4").tobytes())
    return path, error


def on_samples(drawn: Drawn) -> Drawn:
    """The same with pauses of whole samples, which is what EEGLAB counts."""
    drawn.pauses = tuple(
        (place, round(pause * drawn.sfreq) / drawn.sfreq) for place, pause in drawn.pauses
    )
    return drawn


EEGLAB = recordings(RATES, pauses=True).map(on_samples)


# ---------------------------------------------------------------- MNE's exporters
def export(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    """EDF, BDF, BrainVision and EEGLAB by ``Raw.export``."""
    ending = str(RNG(drawn.choice["seed"]).choice([".edf", ".bdf", ".vhdr", ".set"]))
    raw = raw_of(drawn)
    raw.set_annotations(None)
    path = folder / f"rec{ending}"
    raw.export(path, overwrite=True, verbose="error")
    most = np.abs(drawn.samples).max()
    steps = {".edf": 2**16, ".bdf": 2**24}
    # MNE gives all channels of an EDF the range of all of them.
    error = 1.1 * 2 * most / steps[ending] / 2 if ending in steps else 2 * most * SINGLE
    return path, float(error) + 1e-6


EXPORTED = recordings(rational_rates(Fraction(1)), grid_of=a_second, extra=0)


# ---------------------------------------------------------------- what no library writes
def write_gdf(folder: Path, drawn: Drawn) -> tuple[Path, float]:
    return plain.write_gdf(folder, drawn, record_of(drawn.sfreq))


def as_mne_calls_them(drawn: Drawn) -> Drawn:
    """The same with labels that MNE's reader of Persyst leaves as they are."""
    drawn.labels = tuple(text.upper().split("-REF")[0] for text in drawn.labels)
    return drawn


PERSYST = recordings(USUAL, pauses=True, extra=2).map(as_mne_calls_them)


WRITERS = {
    "EDF, EDF+C": Writer(EDF, write_edf),
    "EDF+D": Writer(EDF_PAUSED, write_edf_d),
    "EDF, reversed": Writer(recordings(rational_rates(*RECORDS), grid_of=record_of),
                            write_edf_reversed),
    "BDF": Writer(EDF, lambda folder, drawn: write_edf(folder, drawn, ".bdf")),
    "BrainVision": Writer(BRAINVISION, write_brainvision),
    "BrainVision, segments": Writer(BRAINVISION_PAUSED, write_brainvision),
    "FIF": Writer(FIF, write_fif),
    "FIF, parts": Writer(FIF_PARTS, write_fif_parts),
    "FIF, skips": Writer(FIF_SKIPS, write_fif_skips),
    "EEGLAB": Writer(EEGLAB, write_eeglab),
    "EEGLAB, parts": Writer(EEGLAB, write_eeglab_parts),
    "exported by MNE": Writer(EXPORTED, export),
    "GDF": Writer(EDF, write_gdf),
    "Persyst": Writer(PERSYST, plain.write_persyst),
}  # fmt: skip
