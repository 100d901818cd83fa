"""The locale changes nothing: files are UTF-8, and signs that a terminal lacks are replaced."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OPENS = re.compile(r"\.(read_text|write_text)\((?!.*encoding)[^\n]*\)\s*$|open\(\"[rwa]\"\)", re.M)


def hms(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-m", "hms_pipeline", *arguments],
        cwd=folder, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


@pytest.mark.parametrize(
    "env",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=str,
)
def test_what_the_terminal_cannot_show_is_replaced(tmp_path, env):
    (tmp_path / "params.yaml").write_text("recipe: tiny — not one\n", encoding="utf-8")
    done = hms(tmp_path, "recipe", "é—≥", **env)
    assert done.returncode == 2
    assert done.stderr.startswith(b"hms: ")
    assert b"Traceback" not in done.stderr
    assert b"EncodingWarning" not in done.stderr


def test_every_text_file_states_its_encoding():
    folders = ("hms_pipeline", "flows")
    found = [
        f"{path.relative_to(ROOT)}: {match[0].strip()}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for match in OPENS.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
