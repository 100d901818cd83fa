"""Which settings count when a version scores, and what scores an archive."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hms_pipeline.cli.app import Context, app
from hms_pipeline.cli.commands.score import settings
from hms_pipeline.config import Paths
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.system import cluster
from hms_pipeline.system.errors import InputError

from ...recordings import noise, write_edf
from ...scorer import ROOT, scoring

RECIPE = ROOT / "params.yaml"


@pytest.mark.parametrize(
    ("params", "own", "hop_s", "said"),
    [
        (RECIPE, {}, 10, ""),
        (RECIPE, {"hop_s": 2}, 10, ""),
        (RECIPE, {"hop_s": 2, "max_interpolated": 0}, 10, "scoring.max_interpolated: the version"),
        (Path("absent.yaml"), {"hop_s": 2}, 2, ""),
    ],
)
def test_a_version_keeps_what_decides_its_answers(params, own, hop_s, said, capsys) -> None:
    version = scoring(**own)
    bundle = SimpleNamespace(params=SimpleNamespace(scoring=version), folder=Path("bundle"))
    predictor = SimpleNamespace(bundle=bundle)
    found = settings(Context(Paths(params=params)), predictor)
    assert found.hop_s == hop_s
    assert all(getattr(found, key) == getattr(version, key) for key in found.VERSIONED)
    told = capsys.readouterr().err
    assert said in told
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "spark"), r"Choose one of \['local', 'ray'\]"),
        (("--engine", "ray", "--report", "pages"), "Leave --report"),
        (("--engine", "ray", "--out", "scores.csv"), "needs a folder"),
        (("--engine", "local", "--out", "scores"), ".csv or .parquet"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_the_work(options, said) -> None:
    outcome = CliRunner().invoke(app, ["score", "nowhere", *options])
    assert isinstance(outcome.exception, InputError)
    assert re.search(said, str(outcome.exception))


def test_an_archive_is_scored_with_the_model_that_was_named(tmp_path, monkeypatch) -> None:
    """A cluster of this process, and the student that comes with the package."""
    (tmp_path / "archive" / "deep").mkdir(parents=True)
    eeg = noise(seconds=60, seed=1).astype(np.float32)
    (tmp_path / "archive" / "deep" / "rec.parquet").write_bytes(eeg_to_parquet(eeg))
    here = SimpleNamespace(cluster_resources=dict, shutdown=lambda: None)
    monkeypatch.setattr(cluster, "connect", lambda *_, **__: here)
    run = lambda function, items: ((item, function(item)) for item in items)  # noqa: E731
    monkeypatch.setattr(cluster, "spread", lambda ray, *, gpus, retries: run)
    arguments = ["--params", str(RECIPE), "score", str(tmp_path / "archive"), "--engine", "ray"]
    out = tmp_path / "scores"
    outcome = CliRunner().invoke(
        app, [*arguments, "--model", "starter", "--out", str(out), "--json"], catch_exceptions=False
    )
    summary = json.loads(outcome.stdout)
    table = pd.read_parquet(out)
    assert summary["n_scored"] == len(table) == 2
    assert set(table["content_hash"]) == {summary["model"]["content_hash"]}
    assert table["error"].isna().all()


def test_scoring_by_the_starter_loads_what_it_needs(tmp_path) -> None:
    """PyTorch's compiler and what it loads would take 140 MB, scipy.signal 30 MB."""
    write_edf(tmp_path / "rec.edf", noise(seconds=60))
    unused = ["torch._dynamo", "torch._inductor", "triton", "sympy",
              "scipy.signal", "scipy.optimize", "mne", "mlflow"]  # fmt: skip
    words = ["hms", "score", "rec.edf", "--model", "starter", "--report", "pages"]
    program = (
        "import sys\n"
        "from hms_pipeline.cli import main\n"
        f"sys.argv = {words}\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print([name for name in {unused} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 2, done.stderr
    assert (tmp_path / "pages" / "index.html").is_file()
    assert done.stdout.splitlines()[-1] == "[]"
