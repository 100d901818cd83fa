"""Files that a reader must survive, each with its sentence, among good ones."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import edfio
import numpy as np

from ..recordings import noise, patch_header, raw_array, restamp, write_brainvision, write_edf

SECONDS = 60
Make = Callable[[Path, int], Path]  # folder and number → the file


def header(at: int, value: bytes) -> Make:
    """An EDF whose header says something absurd."""

    def make(folder: Path, k: int) -> Path:
        path = edf(folder, k)
        content = path.read_bytes()
        path.write_bytes(content[:at] + value.ljust(8) + content[at + 8 :])
        return path

    return make


def edf(folder: Path, k: int, name: str = "rec") -> Path:
    path = folder / f"{k:04d}_{name}.edf"
    write_edf(path, noise(seconds=SECONDS, seed=k))
    return path


def named(word: str) -> Make:
    """A sound EDF, at whose name ``tests.misbehaving`` does what the word says."""
    return lambda folder, k: edf(folder, k, word)


def fif(folder: Path, k: int) -> Path:
    path = folder / f"{k:04d}_raw.fif"
    raw_array(noise(seconds=SECONDS, seed=k)).save(path, verbose="error")
    return path


def brainvision(folder: Path, k: int) -> Path:
    made = write_brainvision(folder / f"bv{k:04d}", noise(seconds=SECONDS, seed=k))
    header = made.read_text(encoding="utf-8").replace("=rec.", f"=bv{k:04d}.")
    for file in made.parent.iterdir():
        file.rename(folder / f"bv{k:04d}{file.suffix}")
    made.parent.rmdir()
    path = folder / f"bv{k:04d}.vhdr"
    path.write_text(header, encoding="utf-8")
    return path


def pipe(folder: Path, k: int) -> Path:
    path = folder / f"{k:04d}.edf"
    os.mkfifo(path)
    return path


def device(folder: Path, k: int) -> Path:
    path = folder / f"{k:04d}.edf"
    path.symlink_to("/dev/zero")
    return path


def annotations_only(folder: Path, k: int) -> Path:
    path = folder / f"{k:04d}.edf"
    edfio.Edf([], annotations=[edfio.EdfAnnotation(k, 30, "Sleep stage W")]).write(path)
    return path


def many_samples(folder: Path, k: int) -> Path:
    path = edf(folder, k)
    patch_header(path, "n_samples", [b"99999999"] * 20)
    return path


def backwards(folder: Path, k: int) -> Path:
    path = edf(folder, k)
    restamp(path, [SECONDS - second for second in range(SECONDS)])
    return path


def flat(folder: Path, k: int) -> Path:
    path = folder / f"{k:04d}.edf"
    write_edf(path, np.full((20, SECONDS * 200), float(k)))
    return path


def random_bytes(ending: str) -> Make:
    def make(folder: Path, k: int) -> Path:
        path = folder / f"{k:04d}{ending}"
        path.write_bytes(np.random.default_rng(k).bytes(5000 + k))
        return path

    return make


def cut_short(folder: Path, k: int) -> Path:
    path = fif(folder, k)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def lost_samples(folder: Path, k: int) -> Path:
    path = brainvision(folder, k)
    path.with_suffix(".eeg").unlink()
    return path


def samples_in_a_pipe(folder: Path, k: int) -> Path:
    path = lost_samples(folder, k)
    os.mkfifo(path.with_suffix(".eeg"))
    return path


def bomb(folder: Path, k: int) -> Path:
    path = folder / f"{k:04d}_raw.fif.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(64):
            stream.write(bytes(2**20 + k))
    return path


GOOD: dict[str, Make] = {"edf": edf, "fif": fif, "brainvision": brainvision}
HOSTILE: dict[str, Make] = {
    "pipe": pipe,
    "device": device,
    "annotations only": annotations_only,
    "record of 0.0002 s": header(244, b"0.0002"),
    "record of nan s": header(244, b"nan"),
    "record of 2e-7 s": header(244, b"2e-7"),
    "99,999,999 samples a record": many_samples,
    "9,999 channels": header(252, b"9999"),
    "time runs backwards": backwards,
    "flat": flat,
    "random .set": random_bytes(".set"),
    "random .bdf": random_bytes(".bdf"),
    "random .gdf": random_bytes(".gdf"),
    "random .lay": random_bytes(".lay"),
    "random .cnt": random_bytes(".cnt"),
    "random .eeg": random_bytes(".eeg"),
    "random .parquet": random_bytes(".parquet"),
    "cut short": cut_short,
    "lost samples": lost_samples,
    "samples in a pipe": samples_in_a_pipe,
    "bomb": bomb,
    "crash": named("crash"),
    "exit": named("leave"),
    "memory": named("memory"),
    "exception": named("raise"),
}


def fill(folder: Path, n: int, share: float = 0.1) -> tuple[list[Path], list[Path]]:
    """Make ``n`` recordings, hostile ones evenly among them; good and hostile ones."""
    folder.mkdir(parents=True, exist_ok=True)
    good, hostile = [], []
    every = round(1 / share)
    for k in range(n):
        if k % every == every - 1:
            make = list(HOSTILE.values())[len(hostile) % len(HOSTILE)]
            hostile.append(make(folder, k))
        else:
            good.append(list(GOOD.values())[k % len(GOOD)](folder, k))
    return good, hostile
