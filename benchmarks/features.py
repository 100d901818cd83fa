"""How fast views are computed, against librosa's mel and against reading the files alone.

``python -m benchmarks.features`` prints, for one core, windows per second of every view of the
full recipe beside (a) librosa's mel spectrogram of the 16 chain derivations, the public
notebooks' way, and (b) reading the window's parquet files. ``--device cuda`` measures batches
that already lie on the GPU instead, and needs only torch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from hms_pipeline.config.recipes import compose  # noqa: E402
from hms_pipeline.features.views import VIEWS  # noqa: E402
from hms_pipeline.features.windows import WindowBatch  # noqa: E402
from hms_pipeline.schema import CHAIN_PAIRS, EEG_COLUMNS, SPECTROGRAM_COLUMNS  # noqa: E402
from hms_pipeline.signal.frames import frame_starts  # noqa: E402
from hms_pipeline.signal.montage import derive  # noqa: E402
from hms_pipeline.signal.spectral import mel_power, stft_power  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
MEL = {"n_fft": 1024, "hop_length": 39, "win_length": 128, "n_mels": 128, "fmin": 0, "fmax": 20}


def windows(n: int, device: str = "cpu") -> WindowBatch:
    """Brownian noise, which has the EEG's falling spectrum."""
    generator = torch.Generator().manual_seed(0)
    eeg = 5 * torch.randn(n, 20, 10_000, generator=generator).cumsum(-1)
    spectrogram = 10 * torch.rand(n, 4, 100, 300, generator=generator)
    return WindowBatch(eeg.to(device), spectrogram.to(device))


def seconds(run: Callable[[], object], repeats: int, wait: Callable[[], None] | None = None):
    """Median time of one call, after two that warm up.

    Without ``wait`` it is the core's own time, which other programs on the machine do not touch.
    """
    clock = time.process_time if wait is None else time.perf_counter
    times = []
    for _ in range(repeats + 2):
        began = clock()
        run()
        if wait is not None:
            wait()
        times.append(clock() - began)
    return float(np.median(times[2:]))


def librosa_mel(eeg: np.ndarray) -> np.ndarray:
    """The public notebooks' way: a mel spectrogram of each derivation, averaged by chain."""
    import librosa

    pictures = []
    for a, b in CHAIN_PAIRS:
        wave = eeg[EEG_COLUMNS.index(a)] - eeg[EEG_COLUMNS.index(b)]
        pictures.append(librosa.feature.melspectrogram(y=wave, sr=200, **MEL))
    return np.stack(pictures).reshape(4, 4, *pictures[0].shape).mean(1)


def our_mel(batch: WindowBatch) -> torch.Tensor:
    """The same picture, number for number up to librosa's density factor."""
    freqs = tuple((np.arange(104) * 200 / MEL["n_fft"]).tolist())
    starts = frame_starts(tuple(np.arange(257) * MEL["hop_length"] / 200), MEL["win_length"], 200)
    power = stft_power(
        derive(batch.eeg, CHAIN_PAIRS),
        starts,
        n_window=MEL["win_length"],
        freqs_hz=freqs,
        edge="constant",
        pool=4,
    )
    return mel_power(power, freqs, n_mels=MEL["n_mels"], low_hz=0, high_hz=20, unit=False)


def reading() -> Callable[[], object]:
    """A function that reads one window's EEG and spectrogram files."""
    import pandas as pd

    from hms_pipeline.data.recording import read_eeg, read_spectrogram

    folder = Path(tempfile.mkdtemp())
    batch = windows(1)
    eeg = pd.DataFrame(batch.eeg[0].T.numpy(), columns=list(EEG_COLUMNS))
    power = batch.spectrogram[0].reshape(400, 300).T.numpy()
    spectrogram = pd.DataFrame(power, columns=list(SPECTROGRAM_COLUMNS[1:]))
    spectrogram.insert(0, "time", np.arange(300) * 2 + 1)
    for name, table in (("eeg", eeg), ("spectrogram", spectrogram)):
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return lambda: (
        read_eeg(folder / "eeg.parquet"),
        read_spectrogram(folder / "spectrogram.parquet"),
    )


def on_one_core(views: dict, repeats: int) -> None:
    """Print the table for a CPU core, one window at a time as the store computes them."""
    import warnings

    warnings.filterwarnings("ignore", message="Empty filters detected")
    torch.set_num_threads(1)
    batch = windows(1)
    eeg = batch.eeg[0].numpy()
    reference = seconds(lambda: librosa_mel(eeg), repeats)
    read = seconds(reading(), repeats)
    print(f"{'':26}{'ms':>9}{'windows/s':>11}{'times (a)':>11}{'times (b)':>11}")

    def line(name: str, taken: float) -> None:
        print(
            f"{name:26}{taken * 1e3:9.2f}{1 / taken:11.0f}"
            f"{reference / taken:11.2f}{read / taken:11.2f}"
        )

    line("(a) librosa mel", reference)
    line("(b) reading parquet", read)
    line("mel, librosa's picture", seconds(lambda: our_mel(batch), repeats))
    total = 0.0
    for name, view in views.items():
        built = view.build(RECIPE[name])
        taken = seconds(lambda built=built: built(batch), repeats)
        total += taken
        line(f"{name} {'×'.join(map(str, built.shape))}", taken)
    line(f"all {len(views)} views", total)


def on_gpu(views: dict, device: str, n: int, repeats: int) -> None:
    """Print windows per second of batches that lie on the GPU."""
    batch = windows(n, device)

    def wait() -> None:
        torch.cuda.synchronize(device)

    print(f"{torch.cuda.get_device_name(device)}, batches of {n}, data on the device")
    taken = seconds(lambda: our_mel(batch), repeats, wait)
    print(f"{'mel, librosa picture':26}{n / taken:11.0f} windows/s")
    for name, view in views.items():
        built = view.build(RECIPE[name])
        taken = seconds(lambda built=built: built(batch), repeats, wait)
        print(f"{name:26}{n / taken:11.0f} windows/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    RECIPE = compose(ROOT / "recipes", arguments.recipe).views
    chosen = {name: VIEWS[name] for name in RECIPE}
    if arguments.device == "cpu":
        on_one_core(chosen, arguments.repeats)
    else:
        on_gpu(chosen, arguments.device, arguments.batch, arguments.repeats)
