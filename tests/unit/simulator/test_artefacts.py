from __future__ import annotations

import numpy as np
import pytest

from hms_pipeline.schema import EEG_COLUMNS, EKG
from hms_pipeline.simulator.artefacts import ARTEFACTS, add_artefacts, draw_amounts, heartbeat_table

N = 60_000


@pytest.mark.parametrize("name", list(ARTEFACTS))
def test_every_artefact_is_repeatable_and_reports_what_it_did(name: str) -> None:
    first, second = np.zeros((20, N)), np.zeros((20, N))
    events = ARTEFACTS[name](np.random.default_rng(0), first, 8.0)
    assert ARTEFACTS[name](np.random.default_rng(0), second, 8.0) == events
    assert np.array_equal(first, second)
    assert np.isfinite(first).all()
    assert first.any()
    for event in events:
        assert event.kind == name
        assert 0 <= event.start < event.stop <= N
        assert set(event.channels) <= set(EEG_COLUMNS)
        rows = [EEG_COLUMNS.index(channel) for channel in event.channels]
        assert first[rows, event.start : event.stop].any()


def test_only_heart_mains_and_sensor_reach_the_ekg() -> None:
    for name in set(ARTEFACTS) - {"ekg", "mains", "sensor"}:
        eeg = np.zeros((20, N))
        ARTEFACTS[name](np.random.default_rng(1), eeg, 8.0)
        assert not eeg[EEG_COLUMNS.index(EKG)].any(), name


def test_blinks_are_frontal_and_positive() -> None:
    eeg = np.zeros((20, N))
    ARTEFACTS["blink"](np.random.default_rng(2), eeg, 4.0)
    peaks = dict(zip(EEG_COLUMNS, eeg.max(axis=1), strict=True))
    assert peaks["Fp1"] > 50
    assert peaks["Fp1"] > 10 * peaks["O1"]
    assert eeg.min() >= 0


def test_eye_movements_have_opposite_signs_on_both_sides() -> None:
    eeg = np.zeros((20, N))
    ARTEFACTS["eye_movement"](np.random.default_rng(2), eeg, 4.0)
    left, right = eeg[EEG_COLUMNS.index("F7")], eeg[EEG_COLUMNS.index("F8")]
    assert np.allclose(left, -right)
    assert np.abs(left).max() > 10


def test_the_reference_cancels_between_electrodes_but_for_offsets() -> None:
    eeg = np.zeros((20, N))
    ARTEFACTS["reference"](np.random.default_rng(3), eeg, 1.0)
    assert np.allclose(np.diff(eeg[:19], axis=0).std(axis=1), 0, atol=1e-9)


def test_heartbeat_has_its_largest_wave_in_the_middle() -> None:
    beat = heartbeat_table()
    assert np.isclose(beat.max(), 1, atol=0.05)
    assert 0.15 < beat.argmax() / 200 < 0.3


def test_amounts_name_every_artefact_and_none_is_possible() -> None:
    amounts = draw_amounts(np.random.default_rng(0))
    assert set(amounts) == set(ARTEFACTS)
    eeg = np.zeros((20, 2000))
    assert add_artefacts(np.random.default_rng(0), eeg, {}) == []
    assert not eeg.any()
