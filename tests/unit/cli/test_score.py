"""Which settings count when a registered version scores."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hms_pipeline.cli.app import Context
from hms_pipeline.cli.commands.score import settings
from hms_pipeline.config import Paths

from ...scorer import ROOT, scoring

RECIPE = ROOT / "params.yaml"


@pytest.mark.parametrize(
    ("params", "own", "hop_s", "said"),
    [
        (RECIPE, {}, 10, ""),
        (RECIPE, {"hop_s": 2}, 10, ""),
        (RECIPE, {"hop_s": 2, "max_interpolated": 0}, 10, "scoring.max_interpolated of the recipe"),
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
