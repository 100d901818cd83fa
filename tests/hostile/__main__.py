"""``python -m tests.hostile --n 1000 --way score``: a folder, a tenth hostile, and the memory."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from hms_pipeline.config.members import STARTER_FOLDER
from hms_pipeline.registry.scoring import open_bundle

from ..scorer import Scorer
from .files import fill
from .run import Watch, by_inbox, by_score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--way", choices=["score", "inbox"], default="score")
    parser.add_argument("--starter", action="store_true", help="score with the starter's network")
    arguments = parser.parse_args()
    scorer = open_bundle(STARTER_FOLDER) if arguments.starter else Scorer()
    with tempfile.TemporaryDirectory() as place:
        good, hostile = fill(Path(place) / "in", arguments.n)
        run, started = by_score if arguments.way == "score" else by_inbox, time.monotonic()
        with Watch(100) as watch:
            summary = run(Path(place) / "in", Path(place) / "out", watch, scorer)
        pages = len(list((Path(place) / "out").rglob("*.html")))
    assert summary.n_failed == len(hostile)
    sys.stdout.write(
        f"{len(good)} good and {len(hostile)} hostile files by {arguments.way}:"
        f" {summary.n_scored} windows scored, {summary.n_failed} inputs set aside, {pages} pages,"
        f" {time.monotonic() - started:.0f} s; at most {watch.early_mb:.0f} MB in the first"
        f" {watch.after}, {watch.late_mb:.0f} MB in all\n"
    )


if __name__ == "__main__":
    main()
