"""The example notebook runs from its first cell to its last and leaves the pipeline as it was."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Project
from .test_graph import status

pytestmark = pytest.mark.slow
NOTEBOOK = Path("docs/notebooks/tour.ipynb")


def test_the_script_of_the_docs_prints_the_champion(tiny_project: Project) -> None:
    shown = tiny_project.run(str(ROOT / "docs" / "champion.sh"), str(tiny_project.root)).stdout
    assert re.fullmatch(r"champion 1: KL \d\.\d+\n", shown)


def test_the_tour_runs_and_changes_nothing(tiny_project: Project, tmp_path: Path) -> None:
    project = tiny_project.copy(tmp_path / "project")
    cells = json.loads((ROOT / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    steps = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(steps) == 9
    assert max(len(step.splitlines()) for step in steps) <= 10
    script = project.root / "tour.py"
    script.write_text("\n\n".join(steps), encoding="utf-8")
    shown = project.run(sys.executable, str(script)).stdout
    assert "reports/tour/window.html" in shown
    assert (project.root / "reports/tour/eegnet-0/oof.parquet").is_file()
    assert status(project) == set()
    assert not project.run("git", "status", "--porcelain", "artifacts", "mlruns").stdout
