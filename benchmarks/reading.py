"""Windows/s that are read of a competition folder, by a thread and by processes in turn.

    python -m benchmarks.reading DATA [--processes N] [--rounds N] [--windows N]

Beside it stand the milliseconds of a core that a window takes of the process that scores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from hms_pipeline.data.window import Window
from hms_pipeline.data.window_readers import read_all, window_readers
from hms_pipeline.scoring.inputs import WindowItem, find_items
from hms_pipeline.system.processes import process_pool


def report(name: str, readers: Executor, loads: Sequence[Callable[[], Window]]) -> None:
    """Read a round, and print how fast."""
    start, own = time.perf_counter(), time.process_time()
    for found in read_all(readers, loads):
        if isinstance(found, Exception):
            raise found
    n, took, own = len(loads), time.perf_counter() - start, time.process_time() - own
    print(f"{name}: {n / took:.0f} windows/s, {1e3 * own / n:.1f} ms of this process", flush=True)


def main() -> None:
    """Read the arguments, and read in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=256, help="that each reads in a round")
    args = parser.parse_args()
    loads = [item.load for item in find_items([args.data]) if isinstance(item, WindowItem)]
    loads = (loads * -(-args.windows // len(loads)))[: args.windows]
    with window_readers() as thread, process_pool(args.processes, "Reading", "") as processes:
        list(read_all(processes, loads))  # all have started
        for _ in range(args.rounds):
            report("a thread", thread, loads)
            report(f"{args.processes} processes", processes, loads)


if __name__ == "__main__":
    main()
