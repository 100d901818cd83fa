"""An archive of recordings scored on one and on two nodes of this machine, by Ray or by Spark.

    python -m benchmarks.archive --engine ray
    python -m benchmarks.archive --engine spark

Each node has one core. The starter scores simulated recordings of some minutes each; one and two
nodes take turns, because other programs on the machine slow both. A small archive comes first, so
that processes are started and the model is open. Printed are seconds, and the seconds of a core
that this process took for each batch: what bounds the number of nodes. Ray (extra `ray`), and
pyspark with Java, have to be installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from hms_pipeline.config.members import STARTER_FOLDER
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.registry.scoring import open_bundle
from hms_pipeline.scoring.archive import BATCH, Job, Spread, score_archive
from hms_pipeline.system.cluster import connect, own_code, spread

ROOT = Path(__file__).parents[1]


@contextmanager
def on_ray(nodes: int) -> Iterator[Spread]:
    """A cluster of so many nodes of one core; the head itself has none."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(nodes):
        cluster.add_node(num_cpus=1)
    try:
        yield spread(connect(cluster.address, env=own_code(ROOT)))
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def on_spark(nodes: int) -> Iterator[Spread]:
    """The same with Spark's executors."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    spark = (
        SparkSession.builder.master(f"local-cluster[{nodes},1,1024]")
        .config("spark.executorEnv.PYTHONPATH", path)
        .config("spark.executorEnv.OMP_NUM_THREADS", "1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    context = spark.sparkContext
    context.setLogLevel("ERROR")
    try:
        yield lambda function, items: iter(
            context.parallelize(items, len(items)).map(lambda one: (one, function(one))).collect()
        )
    finally:
        spark.stop()


def write_recordings(folder: Path, n: int, minutes: float) -> None:
    """EEG parquets of noise with the EEG's falling spectrum."""
    folder.mkdir()
    for number in range(n):
        rng = np.random.default_rng([number, int(minutes * 60)])
        steps = rng.standard_normal((20, int(minutes * 60 * 200)), np.float32)
        eeg = 30 * (steps - 0.05 * steps.cumsum(1) / np.sqrt(np.arange(1, steps.shape[1] + 1)))
        (folder / f"{number}.parquet").write_bytes(eeg_to_parquet(eeg.astype(np.float32)))


def main() -> None:
    """Read the arguments, make the archive, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["ray", "spark"], required=True)
    parser.add_argument("--recordings", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    on = {"ray": on_ray, "spark": on_spark}[arguments.engine]
    opens = partial(open_bundle, STARTER_FOLDER.resolve(), device="cpu")
    predictor = opens()
    params = predictor.bundle.params.scoring
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_recordings(work / "archive", arguments.recordings, arguments.minutes)
        write_recordings(work / "first", 4 * BATCH, 0.85)
        for turn in range(arguments.rounds):
            for nodes, taken in seconds.items():
                with on(nodes) as run:
                    out = work / f"{nodes}-{turn}"
                    job = Job(opens, predictor.content_hash, out, params)
                    score_archive(job, [work / "first"], run)
                    began, own = time.monotonic(), time.process_time()
                    summary = score_archive(job, [work / "archive"], run)
                    taken.append(time.monotonic() - began)
                    own = (time.process_time() - own) / (2 * arguments.recordings / BATCH)
                print(
                    f"{arguments.engine}, {nodes} nodes: {taken[-1]:.1f} s,"
                    f" {summary.n_scored / taken[-1]:.1f} windows/s, {summary.n_failed} set aside;"
                    f" {own * 1e3:.1f} ms of this process a batch",
                    flush=True,
                )
    gain = np.median(seconds[1]) / np.median(seconds[2])
    print(f"Two nodes are {gain:.2f} times as fast as one.")


if __name__ == "__main__":
    main()
