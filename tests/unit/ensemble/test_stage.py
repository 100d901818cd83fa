"""Stage `ensemble` on files: joined by label_id, refusals, equal bytes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.ensemble import stage
from hms_pipeline.ensemble.blend import Blend
from hms_pipeline.ensemble.oof import read_oof
from hms_pipeline.schema import CLASSES, VOTE_SLICES
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import hash_file
from hms_pipeline.training.finished import read_manifest, write_manifest
from hms_pipeline.training.metrics import kl_per_window

from .panel import make_panel, write_artifacts

NOISE = (0.6, 0.9)


@pytest.fixture
def paths(tmp_path, tiny):
    return write_artifacts(tmp_path, tiny, make_panel(60, 2, NOISE, votes=(1, 20)))


def test_windows_are_joined_by_label_id(tmp_path, tiny):
    panel = make_panel(60, 2, NOISE, votes=(1, 20))
    oof = read_oof(write_artifacts(tmp_path, tiny, panel), tiny)
    expected = np.sort(kl_per_window(panel.target, panel.oof[0]))
    np.testing.assert_allclose(
        np.sort(kl_per_window(oof.target, oof.probs[0])), expected, rtol=1e-4
    )
    assert oof.members == tuple(tiny.members)


def test_run_writes_the_blend_its_evidence_and_nested_predictions(paths, tiny):
    calls = []
    metrics = stage.run(paths, tiny, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]
    weights = json.loads((paths.ensemble / "weights.json").read_text())
    assert Blend.from_dict(weights).members == tuple(tiny.members)
    oof = pd.read_parquet(paths.ensemble / "oof.parquet")
    assert sorted(oof["label_id"]) == sorted(pd.read_parquet(paths.folds)["label_id"])
    np.testing.assert_allclose(oof[list(CLASSES)].sum(axis=1), 1, rtol=1e-5)
    assert set(metrics["slices"]) == set(VOTE_SLICES)
    assert metrics["ensemble"][">=10"]["kl"] < metrics["baselines"]["prior"][">=10"]["kl"]
    assert metrics["stages"]["eegnet"]["stage1"][">=10"] == pytest.approx(0.4)


def test_two_runs_give_the_same_bytes(paths, tiny):
    names = ("weights.json", "metrics.json", "summary.json", "oof.parquet")
    stage.run(paths, tiny)
    first = [(paths.ensemble / name).read_bytes() for name in names]
    stage.run(paths, tiny)
    assert [(paths.ensemble / name).read_bytes() for name in names] == first


def test_the_table_has_members_blends_and_baselines(paths, tiny):
    stage.run(paths, tiny)
    rows = stage.results_table(paths)
    assert [row["member"] for row in rows][:3] == [*tiny.members, "equal mean"]
    assert {"(prior)", "(uniform)"} <= {row["member"] for row in rows}
    assert all(set(VOTE_SLICES) <= set(row) for row in rows)


def test_the_summary_is_flat_and_says_what_the_metrics_say(paths, tiny):
    metrics = stage.run(paths, tiny)
    summary = json.loads((paths.ensemble / "summary.json").read_text())
    assert all(isinstance(value, float | str) for value in summary.values())
    deciding = {name: slices[">=10"]["kl"] for name, slices in metrics["members"].items()}
    assert summary["best_member"] == min(deciding, key=deciding.get)
    assert summary["kl_best_member"] == pytest.approx(min(deciding.values()))
    assert {f"kl_member_{name}" for name in tiny.members} <= set(summary)
    ensemble = metrics["ensemble"]
    assert summary["kl"] == pytest.approx(ensemble[">=10"]["kl"])
    assert summary["kl_low"] < summary["kl"] < summary["kl_high"]
    assert summary["kl_1_2"] == pytest.approx(ensemble["1-2"]["kl"])
    assert summary["kl_prior"] == pytest.approx(metrics["baselines"]["prior"][">=10"]["kl"])


@pytest.mark.parametrize("votes", [(1, 9), (10, 20)])
def test_missing_slices_are_left_out(tmp_path, tiny, votes):
    paths = write_artifacts(tmp_path, tiny, make_panel(20, 2, NOISE, votes=votes))
    metrics = stage.run(paths, tiny)
    for name in ("metrics", "summary"):
        assert "NaN" not in (paths.ensemble / f"{name}.json").read_text()
    if votes == (1, 9):
        assert metrics["chosen"] == "equal"
        assert "nesting needs two" in metrics["reason"]
        assert stage.results_table(paths)[0][">=10"] is None


def _spoil(paths, change):
    folder = paths.fold("eegnet", 1)
    path = folder / "oof.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    write_manifest(folder, read_manifest(folder) | {"files": {path.name: hash_file(path)}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.iloc[1:], "lacks 1 and has 0 others"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "more than once"),
        (lambda f: f.assign(label_id=f["label_id"] + 10**6), "others"),
        (lambda f: f.assign(gpd=np.nan), "not finite"),
    ],
)
def test_members_that_do_not_cover_each_window_once_are_refused(paths, tiny, change, sentence):
    _spoil(paths, change)
    with pytest.raises(InputError, match=sentence):
        stage.run(paths, tiny)


def test_a_window_predicted_by_another_fold_is_refused(paths, tiny):
    one, two = (paths.fold("eegnet", k) for k in (0, 1))
    one.rename(paths.members / "aside")
    two.rename(one)
    (paths.members / "aside").rename(two)
    with pytest.raises(InputError, match="in another fold"):
        stage.run(paths, tiny)


@pytest.mark.parametrize("name", ["oof.parquet", "manifest.json"])
def test_a_flipped_bit_is_refused(paths, tiny, name):
    path = paths.fold("eegnet", 1) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        stage.run(paths, tiny)


def test_predictions_of_other_windows_are_refused(paths, tiny):
    windows = pd.read_parquet(paths.windows)
    windows.iloc[::-1].to_parquet(paths.windows, index=False)
    with pytest.raises(InputError, match="trained from other windows"):
        stage.run(paths, tiny)


def test_a_missing_fold_names_the_command(paths, tiny):
    (paths.fold("eegnet", 1) / "oof.parquet").unlink()
    with pytest.raises(InputError, match="Run dvc checkout, or hms train"):
        stage.run(paths, tiny)


def test_a_table_before_the_stage_names_the_command(paths):
    with pytest.raises(InputError, match="hms ensemble"):
        stage.results_table(paths)
