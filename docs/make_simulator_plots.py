"""Pictures of docs/explanation/simulator.md.

Run in the project's root: ``python -m docs.make_simulator_plots [--real FOLDER]``, where the folder
holds real windows as parquet files. Writes docs/images/simulator_*.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
from scipy.signal import butter, sosfiltfilt, welch

from benchmarks.windows import simulate_arrays
from hms_pipeline import schema
from hms_pipeline.simulator.head import derive
from hms_pipeline.simulator.latent import draw_latent
from hms_pipeline.simulator.patient import draw_patient
from hms_pipeline.simulator.recording import Moment, simulate_recording

FILTER = butter(3, [0.5, 40], "band", fs=schema.SFREQ, output="sos")
IMAGES = Path(__file__).parent / "images"


def bipolar(eeg: np.ndarray) -> np.ndarray:
    """Double banana at 0.5-40 Hz, array of shape (18, n_times)."""
    return sosfiltfilt(FILTER, derive(eeg[:19].astype(float)))


def draw_eeg(ax: plt.Axes, eeg: np.ndarray, title: str, gap: float = 80.0) -> None:
    """Central 10 s in the double banana."""
    centre = eeg.shape[1] // 2
    waves = bipolar(eeg)[:, centre - 1000 : centre + 1000]
    for number, wave in enumerate(waves):
        ax.plot(
            np.arange(2000) / schema.SFREQ, np.clip(wave, -160, 160) - gap * number, "k", lw=0.4
        )
    ax.set(title=title, yticks=[], xlim=(0, 10), ylim=(-18 * gap, 1.5 * gap))


def six_classes(seed: int, patients: int = 2) -> None:
    """Clear examples of each class, each of another patient, and the ten minutes around one."""
    rows = (*[3] * patients, 1)
    figure, axes = plt.subplots(patients + 1, 6, figsize=(18, 13), height_ratios=rows)
    for column, name in zip(axes.T, schema.CLASSES, strict=True):
        for number, ax in enumerate(column[:patients]):
            rng = np.random.default_rng([seed, number, schema.CLASSES.index(name)])
            latent = draw_latent(rng, name, ambiguous=False)
            recording = simulate_recording(rng, draw_patient(rng), [Moment(300, latent)], 600)
            draw_eeg(ax, recording.eeg[:, 55_000:65_000], name)
        image = np.log(recording.spectrogram.mean(axis=0) + 1e-3)
        column[-1].imshow(
            image, aspect="auto", origin="lower", extent=(0, 600, 0.59, 19.92), vmin=-3, vmax=6
        )
        column[-1].set(xlabel="s", ylabel="Hz")
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
    figure.savefig(IMAGES / name, dpi=50, pil_kwargs={"optimize": True})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of real windows")
    parser.add_argument("--patients", type=int, default=40)
    args = parser.parse_args()
    six_classes(seed=0)
    sample = simulate_arrays(patients=args.patients, seed=1)
    paths = sorted(args.real.glob("*.parquet")) if args.real else []
    beside_real(
        sample.eeg, {path.stem: pq.read_table(path).to_pandas().to_numpy().T for path in paths}
    )


if __name__ == "__main__":
    main()
