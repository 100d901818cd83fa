"""A recording's way through ``hms score``: in which order it enters which rooms.

    python -m benchmarks.walk BUNDLE RECORDING

Every function counts where it is called first; a room that is entered again after it was left is a
return. The model is opened once a run, so its way is counted by itself. The reading process is
replaced by reading here, so that its calls are seen, too.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "hms_pipeline"


def room_of(file: str) -> str | None:
    """The room that a source file lies in; None outside the package."""
    path = Path(file)
    if not path.is_relative_to(PACKAGE):
        return None
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@contextmanager
def watch(calls: dict[str, str]) -> Iterator[None]:
    """Note every function of the package that is called, in order, with its room."""

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and not code.co_name.startswith("<"):
            room = room_of(code.co_filename)
            if room:
                calls.setdefault(f"{Path(code.co_filename).stem}.{code.co_qualname}", room)

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def stays(calls: dict[str, str]) -> list[tuple[str, list[str]]]:
    """Consecutive calls of one room: its name, and the functions."""
    grouped = itertools.groupby(calls.items(), key=lambda item: item[1])
    return [(room, [name for name, _ in group]) for room, group in grouped]


def walk(bundle: Path, recording: Path, out: Path) -> dict[str, list[tuple[str, list[str]]]]:
    """Open a model, then score a recording; which way each took."""
    from hms_pipeline.data.reading import Reader
    from hms_pipeline.inference.predictor import Predictor
    from hms_pipeline.scoring.batch import score_inputs

    calls: dict[str, str] = {}
    with watch(calls):
        predictor = Predictor.open(bundle)
    opening = dict(calls)
    with watch(calls):
        scoring = predictor.bundle.params.scoring
        score_inputs(predictor, [recording], out, scoring, reader=Reader())
    scored = {name: room for name, room in calls.items() if name not in opening}
    return {"The model is opened": stays(opening), "The recording is scored": stays(scored)}


def main() -> None:
    """Print the ways and their numbers of returns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("recording", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ways = walk(arguments.bundle, arguments.recording, Path(folder) / "scores.csv")
    for title, way in ways.items():
        rooms = {room for room, _ in way}
        print(f"{title}: {len(way)} stays in {len(rooms)} rooms, {len(way) - len(rooms)} returns")
        for room, names in way:
            print(f"    {room:12} {', '.join(names)}")


if __name__ == "__main__":
    main()
