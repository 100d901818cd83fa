"""Drift: nothing is said of the same distribution, a shift is found, chance is no shift."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms_pipeline.data.window import Window
from hms_pipeline.features.views import build_views
from hms_pipeline.inference.reference import (
    make_reference,
    prediction_quantities,
    window_statistics,
    write_reference,
)
from hms_pipeline.schema import CLASSES, VOTE_COLUMNS
from hms_pipeline.scoring.drift import compare, psi
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import to_json
from tests.recipes import recipe

from ...recordings import noise

PARAMS = recipe("tiny").drift


def scored(n: int, alpha: tuple[float, ...] = (1, 1, 1, 1, 1, 2), seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.dirichlet(alpha, n), columns=list(VOTE_COLUMNS))
    return table.assign(id=[str(k) for k in range(n)], **{"view:mel:mean": rng.normal(size=n)})


def reference(table: pd.DataFrame) -> dict:
    quantities = prediction_quantities(table).join(table.filter(like="view:"))
    return make_reference(quantities, PARAMS.n_bins)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=8), st.randoms())
def test_psi_is_zero_for_equals_symmetric_and_positive(shares: list[float], random) -> None:
    a = np.array(shares) / sum(shares)
    b = np.array(random.sample(shares, len(shares))) / sum(shares)
    assert psi(a, a) == 0
    assert psi(a, b) == pytest.approx(psi(b, a))
    assert psi(a, b) >= 0


def test_psi_by_hand() -> None:
    expected = (0.7 - 0.5) * np.log(0.7 / 0.5) + (0.3 - 0.5) * np.log(0.3 / 0.5)
    assert psi(np.array([0.5, 0.5]), np.array([0.7, 0.3])) == pytest.approx(expected)


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_chance_is_no_drift(n: int) -> None:
    known = reference(scored(2000, seed=1))
    verdicts = [compare(scored(n, seed=k), known, PARAMS).verdict for k in range(2, 12)]
    assert verdicts.count("drifted") == 0
    assert verdicts.count("stable") >= 8


def test_a_shift_is_found_and_named() -> None:
    known = reference(scored(2000, seed=1))
    table = scored(300, seed=2)
    table["view:mel:mean"] += 1.5
    report = compare(table, known, PARAMS)
    assert report.verdict == "drifted"
    assert report.table.iloc[0].quantity == "view:mel:mean"
    assert report.table.iloc[0].group == "mel"
    assert "view:mel:mean" in report.sentence
    edges, before, after = report.shares["view:mel:mean"]
    assert len(edges) + 1 == len(before) == len(after)
    assert compare(scored(300, (1, 1, 1, 1, 1, 20)), known, PARAMS).verdict == "drifted"


def test_windows_of_one_recording_count_once() -> None:
    known = reference(scored(2000, seed=1))
    table = scored(300, (1, 1, 1, 1, 1, 20)).assign(id="one")
    assert compare(table, known, PARAMS).verdict == "stable"


def test_too_few_windows_give_no_verdict() -> None:
    known = reference(scored(500))
    report = compare(scored(PARAMS.min_windows - 1), known, PARAMS)
    assert report.verdict == "too few"
    assert "too few" in report.sentence


def test_reference_is_json_and_shares_add_to_one() -> None:
    known = reference(scored(500))
    assert to_json(known)
    for entry in known.values():
        assert sum(entry["shares"]) == pytest.approx(1)
        assert len(entry["shares"]) == len(entry["edges"]) + 1


def test_a_constant_quantity_has_one_edge() -> None:
    known = make_reference(pd.DataFrame({"x": np.ones(50)}), 10)
    assert known["x"]["edges"] == [1.0]


def test_a_foreign_reference_is_refused() -> None:
    with pytest.raises(InputError, match="Register the model again"):
        compare(scored(50), {"other": {}}, PARAMS)


def test_statistics_of_views() -> None:
    views = build_views(recipe("tiny"))
    eeg = noise(seconds=50).astype(np.float32)
    windows = [Window(eeg, np.ones((4, 100, 300), np.float32)), Window(2 * eeg, None)]
    table = window_statistics(windows, views)
    assert table["view:bipolar:sd"][1] == pytest.approx(2 * table["view:bipolar:sd"][0], rel=0.02)
    assert np.isfinite(table["view:spec_multi:mean"][0])
    assert np.isnan(table["view:spec_multi:mean"][1])


def test_reference_from_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = recipe("tiny")
    probs = scored(60)[list(VOTE_COLUMNS)].set_axis(list(CLASSES), axis=1)
    oof = probs.assign(label_id=np.arange(60)[::-1])
    paths = SimpleNamespace(ensemble=tmp_path, view=lambda name: tmp_path / name)
    oof.to_parquet(tmp_path / "oof.parquet")

    class Store:
        def __getitem__(self, labels: np.ndarray) -> np.ndarray:
            return np.stack([np.full((4, 8, 8), label, np.float16) for label in labels])

    monkeypatch.setattr(
        "hms_pipeline.inference.reference.FeatureStore",
        SimpleNamespace(open=lambda _, **__: Store()),
    )
    first = write_reference(paths, params, tmp_path).read_bytes()
    assert b"view:bipolar:mean" in first
    assert b"prediction:entropy" in first
    assert write_reference(paths, params, tmp_path).read_bytes() == first
