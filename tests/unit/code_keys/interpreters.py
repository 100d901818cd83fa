"""Other versions of Python on this machine that start."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


@cache
def others() -> dict[str, str]:
    """Version → executable: on PATH, or installed beside the one that runs the tests."""
    beside = Path(sys.base_prefix).parent
    found = {}
    for version in VERSIONS:
        name = f"python{version}"
        here = [shutil.which(name), *map(str, sorted(beside.glob(f"*/bin/{name}")))]
        running = [path for path in here if path and _starts(path, version)]
        if running and version != f"{sys.version_info[0]}.{sys.version_info[1]}":
            found[version] = running[0]
    return found


def _starts(path: str, version: str) -> bool:
    """A version manager's stand-in is there also for versions that it does not start."""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and f"Python {version}." in done.stdout


def run(executable: str, program: str, given: Any) -> Any:
    """What a program prints as JSON, given JSON on its standard input."""
    done = subprocess.run(
        [executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
