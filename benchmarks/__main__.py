"""Run the benchmarks that fit two cores, one after the other: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("simulator", "validate", "features", "ensemble", "score", "engine")


def main() -> int:
    """Run them all, and say which failed."""
    failed = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
