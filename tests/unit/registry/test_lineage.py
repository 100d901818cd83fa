"""On what data a model was trained: the recordings say it themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import Paths
from hms_pipeline.data.write import write_eeg
from hms_pipeline.registry.card import ORIGIN
from hms_pipeline.registry.lineage import data_origin
from hms_pipeline.simulator.sample import write_sample


def paths_of(data: Path) -> Paths:
    return Paths(data, data.parent / "artifacts", data.parent / "params.yaml")


def test_a_sample_of_any_seed_and_size_is_simulated(tmp_path):
    write_sample(tmp_path / "data", patients=3, test_windows=1, seed=4711, workers=1)
    assert data_origin(paths_of(tmp_path / "data")) == "simulated"


@pytest.mark.parametrize(
    ("simulated", "expected"),
    [(0, "given"), (4, "partly simulated"), (9, "partly simulated"), (10, "simulated")],
)
def test_the_recordings_say_what_they_are(tmp_path, simulated, expected):
    folder = tmp_path / "data" / "train_eegs"
    folder.mkdir(parents=True)
    pd.DataFrame({"eeg_id": np.repeat(range(10), 3)}).to_csv(tmp_path / "data" / "train.csv")
    for k in range(10):
        write_eeg(folder / f"{k}.parquet", np.zeros((20, 10)), simulated=k < simulated)
    assert data_origin(paths_of(tmp_path / "data")) == expected
    assert expected in ORIGIN


def test_data_that_cannot_be_read_is_of_unknown_origin(tmp_path):
    assert data_origin(paths_of(tmp_path / "data")) == "unknown"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("eeg_id\n", encoding="utf-8")
    assert data_origin(paths_of(tmp_path / "data")) == "unknown"
