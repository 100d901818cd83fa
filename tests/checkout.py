"""This checkout's files, copied elsewhere."""

import shutil
import subprocess
from collections.abc import Container
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_files(target: Path, leave_out: Container[str] = ()) -> Path:
    """Copy the files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name not in leave_out:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target
