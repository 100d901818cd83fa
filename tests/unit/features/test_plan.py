"""What a value's key depends on."""

from hms_pipeline.features import plan
from hms_pipeline.features.views import VIEWS, build_view
from tests.recipes import recipe

from .conftest import window_rows

RECIPE = recipe("full").views


def test_parameters_and_code_change_the_recipe_hash():
    first = VIEWS["mel"].build(RECIPE["mel"])
    other = VIEWS["mel"].build({**RECIPE["mel"], "n_mels": 60})
    assert plan.recipe_hash(first, "code") != plan.recipe_hash(other, "code")
    assert plan.recipe_hash(first, "code") != plan.recipe_hash(first, "changed")


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
    rows = plan.plan_rows(paths, build_view(params, "bipolar"), "code")
    columns = ["shard", "spectrogram_id", "eeg_id", "eeg_label_offset_seconds"]
    assert rows[columns].equals(rows[columns].sort_values(columns))
    assert (rows["row"] == rows.groupby("shard").cumcount()).all()
    patients = rows["label_id"].map(windows.set_index("label_id")["patient_id"])
    assert (rows["shard"] == [plan._bucket(patient, 4) for patient in patients]).all()
