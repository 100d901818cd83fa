"""All views of a recipe: each read for itself, beside one reading for all, in one run.

    python -m benchmarks.all_views --windows 6000 --device cuda

A small simulated set is made and its files are linked under new ids until there are so many
windows, one an EEG; decoding and computing cost what they cost at full size. ``apart`` is the
former way: a command a view, all at once, each with ``--workers`` processes and its own folder.
``together`` is what the graph's stages do: the same commands with ``--ahead``, started at once as
the flow starts them; ``in turn``, one after the other as ``dvc repro`` does. Printed are seconds,
windows per second, start included, the cores' own seconds, which other programs do not touch, and
the most private memory of all processes together.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pandas as pd

from benchmarks.full_size import Watch
from hms_pipeline.config import Params, Paths
from hms_pipeline.config.params import write_params
from hms_pipeline.config.recipes import compose
from hms_pipeline.data.competition import eeg_path, read_train, spectrogram_path
from hms_pipeline.system.files import hash_file

ROOT = Path(__file__).parents[1]
FILES = {"eeg": eeg_path, "spectrogram": spectrogram_path}
COPY = 10**11  # added to the ids of each further copy
IDS = ("label_id", "eeg_id", "spectrogram_id", "patient_id")


def hms(*arguments: object) -> list[str]:
    """A command of this project's."""
    return [sys.executable, "-m", "hms_pipeline", "--quiet", *map(str, arguments)]


def make_data(work: Path, patients: int, n_windows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Windows and their files' hashes; the files lie in ``work/data``."""
    run([hms("sample", "--out", work / "sample", "--patients", patients)])
    windows = read_train(work / "sample").drop_duplicates("eeg_id", ignore_index=True)
    copies = [
        windows.assign(**{name: windows[name] + COPY * copy for name in IDS})
        for copy in range(-(-n_windows // len(windows)))
    ]
    hashes = []
    for kind, path in FILES.items():
        for own in windows[f"{kind}_id"].unique():
            source = path(work / "sample", own)
            digest = hash_file(source)
            for copy in range(len(copies)):
                target = path(work / "data", own + COPY * copy)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)
                hashes.append((kind, own + COPY * copy, digest))
    table = pd.concat(copies, ignore_index=True).head(n_windows)
    return table, pd.DataFrame(hashes, columns=["kind", "id", "file_hash"])


def run(commands: list[list[str]], at_once: bool = True) -> list[float]:
    """Run commands; when each had ended, in seconds. Refuse to go on where one failed."""
    began, ended = time.monotonic(), list[float]()
    with ThreadPoolExecutor(len(commands) if at_once else 1) as pool:
        for done in as_completed(
            pool.submit(subprocess.run, one, stdout=subprocess.DEVNULL) for one in commands
        ):
            ended.append(time.monotonic() - began)
            if done.result().returncode:
                sys.exit(f"A command ended with {done.result().returncode}.")
    return ended


def measure(way: str, work: Path, params: Params, tables: tuple, device: str, workers: int) -> None:
    """Compute all views one way and print what it took."""
    windows, recordings = tables
    commands = []
    for view in params.views:
        folder = work / "artifacts" / (view if way == "apart" else "all")
        paths = Paths(work / "data", folder, work / "params.yaml")
        paths.validated.mkdir(parents=True, exist_ok=True)
        windows.to_parquet(paths.windows, index=False)
        recordings.to_parquet(paths.recordings, index=False)
        places = ("--data", paths.data, "--artifacts", folder, "--params", paths.params)
        how = ("--workers", workers) if way == "apart" else ("--ahead",)
        commands.append(hms(*places, "features", view, "--device", device, *how))
    with Watch() as watch:
        before = os.times()
        ended = run(commands, at_once=way != "in turn")
        seconds, after = ended[-1], os.times()
    cores = sum(after[2:4]) - sum(before[2:4])
    size = sum(path.stat().st_size for path in (work / "artifacts").rglob("shard-*.npy"))
    shutil.rmtree(work / "artifacts")
    print(
        f"{way:9} {seconds:7.1f} s {len(windows) / seconds:7.1f} windows/s"
        f" {cores:7.1f} core-seconds {watch.memory_gb:6.1f} GB of memory,"
        f" {size / 1e9:.1f} GB written; views at {', '.join(f'{end:.0f}' for end in ended)} s",
        flush=True,
    )


def main() -> None:
    """Read the arguments, make the data, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--patients", type=int, default=48)
    parser.add_argument("--windows", type=int, default=6000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--ways", nargs="+", default=["apart", "together"])
    parser.add_argument("--work", type=Path, help="a folder on a large disk; default: a temporary")
    arguments = parser.parse_args()
    params = compose(ROOT / "recipes", arguments.recipe)
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        work, began = Path(folder), time.monotonic()
        write_params(work / "params.yaml", params)
        tables = make_data(work, arguments.patients, arguments.windows)
        print(
            f"{len(tables[0])} windows of {tables[0]['eeg_id'].nunique()} EEGs and"
            f" {tables[0]['spectrogram_id'].nunique()} spectrograms, made in"
            f" {time.monotonic() - began:.0f} s; {len(params.views)} views,"
            f" {len(os.sched_getaffinity(0))} cores",
            flush=True,
        )
        for way in arguments.ways:
            measure(way, work, params, tables, arguments.device, arguments.workers)


if __name__ == "__main__":
    main()
