"""One simulated recording and one small sample, shared by the tests of this room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hms_pipeline.simulator.latent import Latent
from hms_pipeline.simulator.patient import draw_patient
from hms_pipeline.simulator.recording import Moment, Recording, simulate_recording
from hms_pipeline.simulator.sample import write_sample

LPD = Latent(prominence=0.95, evolution=0.1, sharpness=0.95, laterality=0.95, rate_hz=1.0)


@pytest.fixture(scope="session")
def recording() -> Recording:
    rng = np.random.default_rng(3)
    return simulate_recording(rng, draw_patient(rng), [Moment(60.0, LPD)], 120)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "data"
    write_sample(out, patients=3, test_windows=1, seed=5, workers=1)
    return out
