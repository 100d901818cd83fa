"""What a value's key depends on."""

from pathlib import Path

import yaml

from hms_pipeline import features
from hms_pipeline.features import plan
from hms_pipeline.features.views import VIEWS, build_view

from .conftest import window_rows

ROOT = Path(features.__file__).parent
RECIPE = yaml.safe_load((Path(__file__).parents[3] / "recipes" / "full.yaml").read_text())["views"]
# Where and how values are kept, not what they are.
STORAGE = {"__init__", "describe", "plan", "shards", "stage", "statistics", "store"}


def own_views(name):
    code = plan.code_of(VIEWS[name].build(RECIPE[name]))
    return {part for part in code if part.startswith("features/views/")}


def test_a_view_depends_on_its_own_file_and_on_views_it_uses():
    assert own_views("mel") == {"features/views/mel"}
    assert own_views("mosaic") == {"features/views/mosaic", "features/views/spec_multi"}


def test_every_file_of_the_room_is_counted_or_known_to_be_storage():
    counted = {part.removeprefix("features/") for part in plan.CODE if "features/" in part}
    assert counted | STORAGE == {path.stem for path in ROOT.glob("*.py")}, (
        "Add the new file to features.plan.CODE if it changes values, else to STORAGE here."
    )
    assert all((ROOT.parent / f"{part}.py").exists() for part in plan.CODE if "/" in part)


def test_parameters_and_code_change_the_recipe_hash(monkeypatch):
    first = VIEWS["mel"].build(RECIPE["mel"])
    other = VIEWS["mel"].build({**RECIPE["mel"], "n_mels": 60})
    assert plan.recipe_hash(first) != plan.recipe_hash(other)
    before = plan.recipe_hash(first)
    monkeypatch.setattr(plan, "hash_code", lambda *rooms: "changed")
    assert plan.recipe_hash(first) != before


def test_patients_are_spread_over_shards():
    buckets = [plan._bucket(patient, 16) for patient in range(20_000, 24_000)]
    assert set(buckets) == set(range(16))
    assert max(buckets.count(k) for k in range(16)) < 1.25 * 4000 / 16


def test_eegs_of_one_spectrogram_are_neighbours_and_shards_hold_whole_patients(
    paths, params, monkeypatch
):
    monkeypatch.setattr(plan, "ROWS_PER_SHARD", 4)
    windows = window_rows(range(8))
    windows["patient_id"] = windows["eeg_id"] // 4
    windows["spectrogram_id"] = 2000 + windows["eeg_id"] % 2 + windows["patient_id"] % 2 * 2
    windows.sample(frac=1, random_state=0).to_parquet(paths.windows, index=False)
    rows = plan.plan_rows(paths, build_view(params, "bipolar"))
    columns = ["shard", "spectrogram_id", "eeg_id", "eeg_label_offset_seconds"]
    assert rows[columns].equals(rows[columns].sort_values(columns))
    assert (rows["row"] == rows.groupby("shard").cumcount()).all()
    patients = rows["label_id"].map(windows.set_index("label_id")["patient_id"])
    assert (rows["shard"] == [plan._bucket(patient, 4) for patient in patients]).all()
