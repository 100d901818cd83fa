"""Real EEG segments beside simulated ones: the table of docs/explanation/simulator.md.

Run in the project's root: ``python docs/make_simulator_stats.py FOLDER [--windows 120]``. The
folder holds segments as parquet files (columns as in ``schema.EEG_COLUMNS``, microvolts, 200 Hz)
and a ``labels.csv`` with an ``id`` and votes per class, in itself or in folders below. Nothing of
them is written anywhere. The central ten seconds of each are measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.signal import butter, find_peaks, sosfiltfilt, welch
from scipy.stats import kurtosis

from hms_pipeline import schema
from hms_pipeline.simulator.head import derive
from hms_pipeline.simulator.latent import draw_latent
from hms_pipeline.simulator.patient import draw_patient
from hms_pipeline.simulator.recording import Moment, simulate_recording

BANDS = {"delta": (0.5, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30)}
FILTER = butter(3, [0.5, 40], "band", fs=schema.SFREQ, output="sos")
LEFT = [0, 1, 2, 3, 8, 9, 10, 11]  # rows of the double banana
RIGHT = [4, 5, 6, 7, 12, 13, 14, 15]
FRONT, BACK = [0, 4, 8, 12], [3, 7, 11, 15]


def measures(eeg: np.ndarray) -> dict[str, float]:
    """Measures of one segment's central ten seconds in the double banana.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts; ten seconds or more.
    """
    waves = derive(np.nan_to_num(eeg[: len(schema.ELECTRODES)].astype(float)))
    half, centre = int(schema.LABEL_S * schema.SFREQ / 2), eeg.shape[1] // 2
    label = slice(centre - half, centre + half)
    raw, waves = waves[:, label], sosfiltfilt(FILTER, waves)[:, label]
    rms = waves.std(axis=1)
    found = {
        "median |x| (uV)": np.median(np.abs(waves)),
        "95th percentile (uV)": np.percentile(np.abs(waves), 95),
        "RMS, median channel (uV)": np.median(rms),
        "RMS, largest channel (uV)": rms.max(),
        "kurtosis": np.median(kurtosis(waves, axis=1)),
        "crest": np.median(np.abs(waves).max(axis=1) / rms),
        "left-right (dB)": abs(decibels((rms[LEFT] ** 2).mean(), (rms[RIGHT] ** 2).mean())),
        "front-back (dB)": decibels((rms[FRONT] ** 2).mean(), (rms[BACK] ** 2).mean()),
        "autocorrelation": periodicity(waves[rms.argmax()]),
    }
    return {name: float(value) for name, value in (found | spectral(raw)).items()}


def decibels(power: np.ndarray | float, reference: np.ndarray | float) -> np.ndarray | float:
    """Ratio of powers."""
    return 10 * np.log10((power + 1e-6) / (reference + 1e-6))


def periodicity(wave: np.ndarray) -> float:
    """Highest peak of a wave's autocorrelation at lags of 0.1 to 2.5 s; 0 where there is none."""
    n = len(wave)
    spectrum = np.abs(np.fft.rfft(wave - wave.mean(), 2 * n)) ** 2
    correlation = np.fft.irfft(spectrum)[: int(2.5 * schema.SFREQ)]
    correlation /= correlation[0]
    peaks, _ = find_peaks(correlation)
    peaks = peaks[peaks >= 0.1 * schema.SFREQ]
    return float(correlation[peaks].max(initial=0))


def spectral(waves: np.ndarray) -> dict[str, float]:
    """Band powers, exponent, spectral peak and line noise of a typical derivation."""
    freqs, power = welch(waves, schema.SFREQ, nperseg=800)
    power = np.median(power, axis=0)
    found, whole = {}, power[(freqs >= 0.5) & (freqs < 30)].sum()
    for name, (low, high) in BANDS.items():
        band = power[(freqs >= low) & (freqs < high)]
        found[f"{name} (dB)"] = decibels(band.mean(), 1.0)
        found[f"{name}, share"] = band.sum() / whole
    fitted = (freqs >= 1) & (freqs <= 30)
    logs = np.log10(freqs[fitted]), np.log10(power[fitted] + 1e-6)
    slope, level = np.polyfit(*logs, 1)
    found["spectral exponent"] = -slope
    found["spectral peak (dB)"] = 10 * (logs[1] - slope * logs[0] - level).max()
    lines = []
    for mains_hz in (50, 60):
        near = (np.abs(freqs - mains_hz) < 6) & (np.abs(freqs - mains_hz) > 2)
        lines.append(decibels(power[np.abs(freqs - mains_hz) < 1].max(), np.median(power[near])))
    found["line noise (dB)"] = max(lines)
    return found


def simulated(windows: int, seed: int) -> pd.DataFrame:
    """Measures of simulated windows by class; half of them lie near a boundary."""
    rows = []
    for name in schema.CLASSES:
        for number in range(windows):
            rng = np.random.default_rng([seed, number, schema.CLASSES.index(name)])
            latent = draw_latent(rng, name, ambiguous=number % 2 == 1)
            eeg = simulate_recording(rng, draw_patient(rng), [Moment(20, latent)], 40).eeg
            rows.append({"class": name} | measures(eeg))
    return pd.DataFrame(rows)


def real(folder: Path) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Name, classes with the most votes, and EEG of every labelled segment."""
    for path in sorted(folder.rglob("labels.csv")):
        labels = pd.read_csv(path)
        for label, votes in zip(
            labels["id"], labels[list(schema.VOTE_COLUMNS)].to_numpy(), strict=True
        ):
            classes = [schema.CLASSES[k] for k in np.flatnonzero(votes == votes.max())]
            table = pq.read_table(path.parent / f"{label}.parquet").to_pandas()
            yield str(label), classes, table[list(schema.EEG_COLUMNS)].to_numpy().T


def compare(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """One row per segment: how many measures lie inside 5-95 % of its class, and which do not."""
    rows = []
    for label, classes, eeg in real(folder):
        like = table[table["class"].isin(classes)].drop(columns="class")
        low, high = like.quantile(0.05), like.quantile(0.95)
        found = pd.Series(measures(eeg))
        outside = [
            f"{name} {found[name]:.2g} ({low[name]:.2g} to {high[name]:.2g})"
            for name in found.index
            if not low[name] <= found[name] <= high[name]
        ]
        rows.append({
            "segment": label, "class": " / ".join(classes),
            "inside": f"{len(found) - len(outside)} of {len(found)}",
            "outside": "; ".join(outside) or "-",
        })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--windows", type=int, default=120, help="simulated windows per class")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    table = compare(simulated(args.windows, args.seed), args.folder)
    print("| " + " | ".join(table.columns) + " |\n|" + "---|" * len(table.columns))
    for row in table.itertuples(index=False):
        print("| " + " | ".join(row) + " |")
    inside = table["inside"].str.split(" of ", expand=True).astype(int).sum()
    print(f"\n{inside[0]} of {inside[1]} measures of {len(table)} segments lie inside.")


if __name__ == "__main__":
    main()
