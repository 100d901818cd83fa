"""A folder, a tenth of it hostile, is scored to its end; ``python -m tests.hostile`` by more."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from .files import HOSTILE, fill
from .run import Watch, by_inbox, by_score

N, SHARE = 60, 0.5  # every kind of hostile file once, and as many good ones


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[Path]]:
    place = tmp_path_factory.mktemp("hostile") / "in"
    good, hostile = fill(place, N, SHARE)
    assert len(hostile) >= len(HOSTILE)
    return place, good, hostile


@pytest.mark.slow
@pytest.mark.parametrize("way", [by_score, by_inbox])
def test_every_good_file_is_scored_and_every_bad_one_named(
    folder: tuple[Path, list[Path], list[Path]], tmp_path: Path, way
) -> None:
    place, good, hostile = folder
    summary = way(place, tmp_path, Watch(10))
    assert (summary.n_scored, summary.n_failed) == (2 * len(good), len(hostile))
    assert len({name for name, _ in summary.failed}) == len(hostile)
    for name, said in summary.failed:
        assert len(said) > 40, (name, said)
        assert str(place) not in said
        assert not any(path.name in said for path in hostile)
    if way is by_score:
        table = pd.read_csv(tmp_path / "scores.csv")
        assert table["id"].nunique() == len(good)
        assert len(list((tmp_path / "pages").glob("*.html"))) == len(good) + 1
        assert len(pd.read_csv(summary.errors)) == len(hostile)
