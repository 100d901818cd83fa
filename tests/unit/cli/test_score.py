"""Whose settings count when a registered version scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from hms_pipeline.cli.app import Context
from hms_pipeline.cli.commands.score import say_whose_settings
from hms_pipeline.config import Paths

from ...scorer import ROOT, scoring


@pytest.mark.parametrize(
    ("params", "own", "said"),
    [
        (ROOT / "recipes/tiny.yaml", scoring(), ""),
        (ROOT / "recipes/tiny.yaml", scoring(hop_s=2), "scoring.hop_s of the recipe differ"),
        (Path("absent.yaml"), scoring(hop_s=2), ""),
    ],
)
def test_settings_that_do_not_count_are_named(params, own, said, capsys) -> None:
    say_whose_settings(Context(Paths(params=params)), own)
    found = capsys.readouterr().err
    assert said in found
    assert bool(said) == bool(found)
