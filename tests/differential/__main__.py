"""``python -m tests.differential --n 5000``: draw, write, read, compare; print a table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .compare import Difference, compare
from .writers import WRITERS


def differences(name: str, n: int) -> list[Difference]:
    """Of ``n`` drawn files; raises where one is not what was drawn."""
    found: list[Difference] = []

    @given(st.data())
    @settings(
        max_examples=n, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(data: st.DataObject) -> None:
        drawn = data.draw(WRITERS[name].draw)
        with tempfile.TemporaryDirectory() as folder:
            path, allowed_uv = WRITERS[name].write(Path(folder), drawn)
            found.append(compare(path, drawn, allowed_uv))

    check()
    return found


def row(name: str, found: list[Difference]) -> str:
    """One line of a Markdown table: the largest differences, and the largest beyond rounding."""
    own = max(d.at_own_rate_uv for d in found)
    beyond = max(d.at_own_rate_uv - d.allowed_uv for d in found)
    later = max(d.at_200_hz_uv for d in found)
    resampled = max(d.at_200_hz_uv - d.allowed_uv for d in found)
    numbers = [own, max(beyond, 0), later, max(resampled, 0)]
    return f"| {name} | {len(found)} | {' | '.join(f'{value:.2g}' for value in numbers)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=500, help="files in all")
    parser.add_argument("--only", choices=list(WRITERS), help="one way to write")
    arguments = parser.parse_args()
    each = -(-arguments.n // len(WRITERS))
    for name in [arguments.only] if arguments.only else WRITERS:
        sys.stdout.write(row(name, differences(name, each)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
