"""A small competition folder of noise, with kept windows as validation leaves them."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import Paths
from hms_pipeline.schema import EEG_COLUMNS, SPECTROGRAM_COLUMNS, VOTE_COLUMNS
from tests.recipes import recipe

VIEWS = {
    "spec_multi": {
        "parts": [{"duration_s": 600, "width": 12}],
        "height": 8,
        "scale": {"low": -4.0, "high": 8.0, "mean": 1.0, "std": 2.5},
    },
    "bipolar": {
        "low_hz": 0.5, "high_hz": 20.0, "order": 4, "rate_hz": 50.0, "clip_uv": 1024.0,
        "scale_uv": 32.0,
    },
}  # fmt: skip


def write_recording(root, number):
    rng = np.random.default_rng(number)
    eeg = rng.standard_normal((10_400, 20)).astype(np.float32) * 30
    eeg[: 50 * (number % 3), number % 19] = np.nan
    pd.DataFrame(eeg, columns=list(EEG_COLUMNS)).to_parquet(
        root / "train_eegs" / f"{1000 + number}.parquet", index=False
    )
    power = rng.gamma(1, 5, (304, 401)).astype(np.float32)
    table = pd.DataFrame(power, columns=list(SPECTROGRAM_COLUMNS))
    table["time"] = np.arange(304) * 2 + 1
    table.to_parquet(root / "train_spectrograms" / f"{2000 + number}.parquet", index=False)


def window_rows(numbers):
    """Two windows of each recording; two recordings a patient."""
    rows = [
        {
            "eeg_id": 1000 + number,
            "eeg_sub_id": sub,
            "eeg_label_offset_seconds": 2.0 * sub,
            "spectrogram_id": 2000 + number,
            "spectrogram_sub_id": sub,
            "spectrogram_label_offset_seconds": 2.0 * sub,
            "label_id": 10 * number + sub,
            "patient_id": 500 + number // 2,
            "expert_consensus": "Other",
            **dict.fromkeys(VOTE_COLUMNS, 1),
        }
        for number in numbers
        for sub in range(2)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def params():
    return recipe("tiny").model_copy(update={"views": VIEWS})


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """A data folder that is written once; tests change copies of it."""
    data = tmp_path_factory.mktemp("recordings") / "data"
    for folder in ("train_eegs", "train_spectrograms"):
        (data / folder).mkdir(parents=True)
    for number in range(8):
        write_recording(data, number)
    return data


@pytest.fixture
def paths(recordings, tmp_path):
    paths = Paths(data=tmp_path / "data", artifacts=tmp_path / "artifacts")
    shutil.copytree(recordings, paths.data)
    paths.validated.mkdir(parents=True)
    window_rows(range(8)).to_parquet(paths.windows, index=False)
    return paths
