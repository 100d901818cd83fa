"""Pictures and tables of docs/explanation/simulator.md.

Run in the project's root: ``python docs/make_simulator_plots.py [--real ../shared/real/iiic]``.
Writes docs/images/simulator_*.png and prints the tables.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.signal import butter, sosfiltfilt, welch

from hms_pipeline import schema
from hms_pipeline.simulator.batch import simulate_arrays
from hms_pipeline.simulator.head import derive
from hms_pipeline.simulator.latent import draw_latent
from hms_pipeline.simulator.recording import Moment, draw_patient, simulate_recording

BANDS = {"0.5-1.5": (0.5, 1.5), "1.5-4": (1.5, 4), "4-8": (4, 8), "8-13": (8, 13),
         "13-20": (13, 20), "20-40": (20, 40)}  # fmt: skip
FILTER = butter(3, [0.5, 40], "band", fs=schema.SFREQ, output="sos")
REAL = ("SZ_sample1", "LPD_sample1", "GPD_sample1", "LRDA_sample1", "GRDA_sample1", "Other_sample4")
IMAGES = Path(__file__).parent / "images"


def bipolar(eeg: np.ndarray) -> np.ndarray:
    """Double banana at 0.5-40 Hz, array of shape (18, n_times)."""
    return sosfiltfilt(FILTER, derive(eeg[:19].astype(float)))


def measures(eeg: np.ndarray) -> dict[str, float]:
    """Amplitude percentiles and band powers of one window's derivations."""
    waves = np.abs(bipolar(eeg))
    freqs, power = welch(derive(eeg[:19].astype(float)), schema.SFREQ, nperseg=800)
    power = np.median(power, axis=0)
    values = {f"p{q} uV": float(np.percentile(waves, q)) for q in (50, 90, 99)}
    for name, (low, high) in BANDS.items():
        inside = (freqs >= low) & (freqs < high)
        values[f"{name} Hz dB"] = float(10 * np.log10(power[inside].mean()))
    return values


def draw_eeg(ax: plt.Axes, eeg: np.ndarray, title: str, gap: float = 80.0) -> None:
    """Central 10 s in the double banana."""
    centre = eeg.shape[1] // 2
    waves = bipolar(eeg)[:, centre - 1000 : centre + 1000]
    for number, wave in enumerate(waves):
        ax.plot(
            np.arange(2000) / schema.SFREQ, np.clip(wave, -160, 160) - gap * number, "k", lw=0.4
        )
    ax.set(title=title, yticks=[], xlim=(0, 10), ylim=(-18 * gap, 1.5 * gap))


def six_classes(seed: int) -> None:
    """One clear example of each class, and its spectrogram of 10 minutes."""
    rng = np.random.default_rng(seed)
    figure, axes = plt.subplots(2, 6, figsize=(18, 7), height_ratios=(3, 1))
    for column, name in zip(axes.T, schema.CLASSES, strict=True):
        latent = draw_latent(rng, name, ambiguous=False)
        recording = simulate_recording(rng, draw_patient(rng), [Moment(300, latent)], 600)
        draw_eeg(column[0], recording.eeg[:, 55_000:65_000], name)
        image = np.log(recording.spectrogram.mean(axis=0) + 1e-3)
        column[1].imshow(
            image, aspect="auto", origin="lower", extent=(0, 600, 0.59, 19.92), vmin=-3, vmax=6
        )
        column[1].set(xlabel="s", ylabel="Hz")
    save(figure, "simulator_classes.png")


def beside_real(windows: np.ndarray, real: dict[str, np.ndarray]) -> None:
    """Spectra of simulated windows (5-95 %) with the real ones on top."""
    figure, ax = plt.subplots(figsize=(11, 7))
    spectra = []
    for eeg in windows:
        freqs, power = welch(derive(eeg[:19].astype(float)), schema.SFREQ, nperseg=800)
        spectra.append(10 * np.log10(np.median(power, axis=0) + 1e-6))
    low, middle, high = np.percentile(spectra, [5, 50, 95], axis=0)
    ax.fill_between(freqs, low, high, alpha=0.3, label="simulated, 5-95 %")
    ax.plot(freqs, middle, label="simulated, median")
    for name, eeg in real.items():
        _, power = welch(derive(eeg[:19].astype(float)), schema.SFREQ, nperseg=800)
        ax.plot(freqs, 10 * np.log10(np.median(power, axis=0)), lw=0.8, label=name.split("_")[0])
    ax.set(xlim=(0.5, 45), ylim=(-35, 35), xlabel="Hz", ylabel="dB (uV^2/Hz), bipolar median")
    ax.legend(fontsize=7)
    save(figure, "simulator_spectra.png")


def save(figure: plt.Figure, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(IMAGES / name, dpi=55, pil_kwargs={"optimize": True})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=Path("../shared/real/iiic"))
    parser.add_argument("--patients", type=int, default=40)
    args = parser.parse_args()
    six_classes(seed=0)
    sample = simulate_arrays(patients=args.patients, seed=1)
    simulated = pd.DataFrame([measures(eeg) for eeg in sample.eeg])
    table = simulated.quantile([0.05, 0.5, 0.95]).T
    table.columns = ["sim. 5 %", "sim. median", "sim. 95 %"]
    real = {
        name: pq.read_table(args.real / f"{name}.parquet").to_pandas().to_numpy().T
        for name in REAL
        if args.real.is_dir()
    }
    for name, eeg in real.items():
        table[name.split("_")[0]] = pd.Series(measures(eeg))
    print(len(sample.eeg), "simulated windows")
    print(table.round(1).to_string())
    beside_real(sample.eeg, real)


if __name__ == "__main__":
    main()
