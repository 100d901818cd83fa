"""How fast, how small and how right `hms validate` is.

    python benchmarks/validate.py [--work DIR] [--recordings 500 1000 2000] [--patients 60]

First recall and false alarms per rule on samples with planted defects (two seeds), then
seconds and peak memory at several numbers of recordings. The many recordings are made from a
few simulated ones, two mixed and each played in a wavering tempo of its own, so that no two are
the same signal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from hms_pipeline.config import load_params
from hms_pipeline.data.competition import eeg_path, read_train, spectrogram_path
from hms_pipeline.data.recording import read_eeg, read_spectrogram
from hms_pipeline.data.write import write_eeg, write_spectrogram
from hms_pipeline.schema import WINDOW_SAMPLES
from hms_pipeline.simulator.sample import write_sample
from hms_pipeline.validation.landmarks import landmark_hashes
from hms_pipeline.validation.matching import candidates, correlate

ROOT = Path(__file__).parents[1]
RUN = """
import sys
from pathlib import Path
from hms_pipeline.config import Paths, load_params
from hms_pipeline.validation.stage import run
if __name__ == "__main__":
    run(Paths(Path(sys.argv[1]), Path(sys.argv[2])), load_params(sys.argv[3]), workers=2)
"""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("/tmp/hms-bench-validate"))
    parser.add_argument("--recordings", type=int, nargs="*", default=[500, 1000, 2000])
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="*", default=[11, 12])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        judge(arguments.work / f"defects-{arguments.patients}-{seed}", seed, arguments.patients)
    near_duplicates(base(arguments.work))
    for number in arguments.recordings:
        measure(arguments.work, number)


def judge(folder: Path, seed: int, patients: int) -> None:
    """Recall and false alarms per rule, and near-duplicates by kind, on planted defects."""
    if not folder.exists():
        write_sample(folder, patients=patients, test_windows=1, seed=seed, defects=True)
    artifacts = folder.with_name(folder.name + "-artifacts")
    validate(folder, artifacts)
    truth = pd.read_csv(folder / "defects_truth.csv")
    quarantine = pd.read_parquet(artifacts / "validated" / "quarantine.parquet")
    found = set(zip(quarantine["kind"], quarantine["id"], quarantine["rule"], strict=True))
    planted = truth[truth["origin"] == "planted"]
    hit = [
        bool({(row.kind, row.id, row.rule), (row.kind, row.partner, row.rule)} & found)
        for row in planted.itertuples()
    ]
    false = Counter(row.rule for row in unexplained(folder, truth, quarantine))
    print(f"\nseed {seed}: {len(planted)} planted defects, {len(quarantine)} lines in quarantine")
    print(f"{'rule':22}{'planted':>8}{'found':>8}{'false alarms':>14}")
    for rule, group in planted.assign(hit=hit).groupby("rule"):
        print(f"{rule:22}{len(group):8}{int(group['hit'].sum()):8}{false.pop(rule, 0):14}")
    for rule, count in false.items():
        print(f"{rule:22}{0:8}{0:8}{count:14}")
    near = planted.assign(hit=hit).query("rule == 'near_duplicate'")
    for variant, group in near.groupby("variant"):
        print(f"  {variant:20}{len(group):8}{int(group['hit'].sum()):8}")


def unexplained(folder: Path, truth: pd.DataFrame, quarantine: pd.DataFrame) -> list:
    """Lines of quarantine that neither the truth nor `overlap` explains."""
    train = pd.read_csv(folder / "train.csv")
    known = {
        key
        for column in ("id", "partner")
        for key in zip(truth["kind"], truth[column], truth["rule"], strict=True)
    }
    files = {k: train.groupby("label_id")[f"{k}_id"].agg(set) for k in ("eeg", "spectrogram")}
    return [
        row
        for row in quarantine.itertuples()
        if row.rule != "overlap"
        and (row.kind, row.id, row.rule) not in known
        and not (
            row.kind == "window"
            and any((k, key, row.rule) in known for k in files for key in files[k][row.id])
        )
    ]


def near_duplicates(folder: Path) -> None:
    """Recall of the fingerprint on copies of many recordings, by kind of change."""
    limits = load_params(ROOT / "params.yaml").validation.near_duplicate
    rng = np.random.default_rng(1)
    ids = read_train(folder)["eeg_id"].unique()
    originals = [np.nan_to_num(read_eeg(eeg_path(folder, key))) for key in ids]
    print("\ncopies found by kind (shift 1-8 s, gain 0.5-2, noise 5-20 % of each channel)")
    for kind in ("shift", "scale", "noise", "shift scale noise"):
        found, votes = 0, []
        for eeg in originals:
            copy = changed(rng, eeg, kind)
            hashes = [landmark_hashes(each) for each in (eeg, copy)]
            owners = np.repeat([0, 1], [len(h) for h, _ in hashes])
            joined = [np.concatenate(parts) for parts in zip(*hashes, strict=True)]
            for candidate in candidates(*joined, owners, limits.votes):
                match = correlate(eeg, copy, candidate)
                found += match.correlation >= limits.correlation
                votes.append(candidate.votes)
        print(f"  {kind:20}{len(ids):6} copies, {found:6} found, fewest votes {min(votes)}")


def changed(rng: np.random.Generator, eeg: np.ndarray, kind: str) -> np.ndarray:
    """A copy of an EEG, changed in one way or several, on the grid of 0.1 µV."""
    copy = eeg.astype(float)
    if "shift" in kind:
        copy = copy[:, int(200 * rng.uniform(1, 8)) :]
    if "scale" in kind:
        copy = copy * rng.choice([rng.uniform(0.5, 0.8), rng.uniform(1.25, 2)])
    if "noise" in kind:
        spread = copy.std(axis=1, keepdims=True) * rng.uniform(0.05, 0.2)
        copy = copy + spread * rng.standard_normal(copy.shape)
    return (np.rint(copy * 10) / 10).astype(np.float32)


def measure(work: Path, number: int) -> None:
    """Seconds and peak memory at a number of recordings, two thirds of them EEGs."""
    folder = work / f"many-{number}"
    if not (folder / "train.csv").exists():
        multiply(base(work), folder, n_eegs=round(number * 0.6))
    measured = validate(folder, work / f"many-{number}-artifacts")
    summary = json.loads(
        (work / f"many-{number}-artifacts/validated/summary.json").read_text(encoding="utf-8")
    )
    files = sum(summary["counts"][kind]["all"] for kind in ("eeg", "spectrogram"))
    near = summary["rules"]["near_duplicate"]["eeg"]
    print(
        f"{files:6} files ({summary['counts']['eeg']['all']} EEGs,"
        f" {summary['counts']['window']['all']} windows): {measured['wall_s']:6.1f} s,"
        f" {measured['cpu_s']:6.1f} CPU-s, peak {measured['all_mib']:5.0f} MiB in all,"
        f" {measured['parent_mib']:5.0f} MiB in the parent, false near-duplicates {near}"
    )


def base(work: Path) -> Path:
    """A simulated folder that the many recordings are made from."""
    folder = work / "base"
    if not folder.exists():
        write_sample(folder, patients=20, test_windows=1, seed=5)
    return folder


def multiply(source: Path, folder: Path, n_eegs: int) -> None:
    """Write ``n_eegs`` EEGs and two thirds as many spectrograms with the windows of a source."""
    train = read_train(source)
    by_eeg = [group for _, group in train.groupby("eeg_id")]
    rng = np.random.default_rng(0)
    eegs = [np.nan_to_num(read_eeg(eeg_path(source, g["eeg_id"].iloc[0]))) for g in by_eeg]
    spectrograms = [
        read_spectrogram(spectrogram_path(source, key)) for key in train["spectrogram_id"].unique()
    ]
    for path in (eeg_path(folder, 0), spectrogram_path(folder, 0)):
        path.parent.mkdir(parents=True, exist_ok=True)
    rows, n_spectrograms = [], max(1, round(n_eegs * 2 / 3))
    for key in range(n_spectrograms):
        values = spectrograms[key % len(spectrograms)] * rng.uniform(0.5, 2)
        write_spectrogram(spectrogram_path(folder, key + 1), values.astype(np.float32), "int64")
    for key in range(n_eegs):
        group, eeg = by_eeg[key % len(by_eeg)], eegs[key % len(eegs)]
        write_eeg(eeg_path(folder, key + 1), mixed(rng, eeg, eegs[rng.integers(len(eegs))]))
        taken = group.assign(
            eeg_id=key + 1,
            spectrogram_id=key % n_spectrograms + 1,
            label_id=1000 * (key + 1) + np.arange(len(group)),
            patient_id=key % n_spectrograms + 1,
            spectrogram_label_offset_seconds=0.0,
        )
        rows.append(taken)
    pd.concat(rows).to_csv(folder / "train.csv", index=False)


def mixed(rng: np.random.Generator, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """A new signal as long as ``one``: both, in a tempo that wavers in a way of its own."""
    n_times = max(one.shape[1], WINDOW_SAMPLES)
    out = np.zeros((20, n_times))
    for eeg in (one, two[:, ::-1]):
        knots = rng.uniform(0.6, 1.5, n_times // 400 + 2)
        tempo = np.interp(np.arange(n_times), 400 * np.arange(len(knots)), knots)
        at = np.cumsum(tempo) % (eeg.shape[1] - 1)
        out += [np.interp(at, np.arange(eeg.shape[1]), channel) for channel in eeg]
    return (np.rint(out * 10) / 10).astype(np.float32)


def validate(folder: Path, artifacts: Path) -> dict[str, float]:
    """Run the stage on two cores in a process of its own; time it and watch its memory."""
    recipe = ROOT / "params.yaml"
    before, start = os.times(), time.perf_counter()
    # A script file, not -c: spawned workers import the main module again.
    script = artifacts.with_suffix(".py")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(RUN, encoding="utf-8")
    command = [sys.executable, str(script), str(folder), str(artifacts), str(recipe)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment)
    peaks = {"parent_mib": 0.0, "all_mib": 0.0}
    watcher = threading.Thread(target=watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    code = process.wait()
    if code != 0:
        raise SystemExit(f"validate failed on {folder} ({code})")
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {"wall_s": time.perf_counter() - start, "cpu_s": cpu, **peaks}


def watch(pid: int, peaks: dict[str, float]) -> None:
    """Keep the largest proportional set size of a process and of its whole family (Linux)."""
    while Path(f"/proc/{pid}").exists():
        sizes = {key: proportional_mib(key) for key in family(pid)}
        peaks["parent_mib"] = max(peaks["parent_mib"], sizes.get(pid, 0.0))
        peaks["all_mib"] = max(peaks["all_mib"], sum(sizes.values()))
        time.sleep(0.2)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="utf-8").split()
        ]
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(child))]


def proportional_mib(pid: int) -> float:
    """Memory of a process, shared pages divided among those that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
