from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from hms_pipeline.schema import EEG_COLUMNS, EKG
from hms_pipeline.simulator.patient import Patient, draw_patient
from hms_pipeline.simulator.recording import Moment, simulate_recording
from hms_pipeline.simulator.variation import ARTEFACTS, VARIATIONS, check_sources, source_names
from hms_pipeline.simulator.variation.heart import heartbeat_table
from hms_pipeline.system.errors import InputError

from .conftest import LPD

N = 60_000


def draw(seed: int, *leave_out: str) -> Patient:
    return draw_patient(np.random.default_rng(seed), leave_out)


def added(name: str, seed: int, amount: float = 8.0) -> np.ndarray:
    """What an artefact changes of a signal, array of shape (20, n)."""
    before = np.random.default_rng(9).normal(0, 5, (20, N))
    after = before.copy()
    ARTEFACTS[name].add(np.random.default_rng(seed), after, amount)
    return after - before


@pytest.mark.parametrize("name", list(VARIATIONS))
def test_every_source_of_traits_varies_and_touches_its_part_alone(name: str) -> None:
    part = VARIATIONS[name].part
    plain = replace(draw(0, *source_names()), morphology=draw(0).morphology)
    drawn = set()
    for seed in range(40):
        traits = VARIATIONS[name].draw(np.random.default_rng(seed))
        assert set(traits) <= {field.name for field in fields(getattr(plain, part))}
        drawn.add(repr(traits))
    assert len(drawn) > 1


@pytest.mark.parametrize("name", source_names())
def test_a_source_that_is_left_out_leaves_the_others_as_they_are(name: str) -> None:
    for seed in range(12):
        whole, without = draw(seed), draw(seed, name)
        if name in ARTEFACTS:
            kept = {kind: amount for kind, amount in whole.artefacts.items() if kind != name}
            assert without == replace(whole, artefacts=kept)
            continue
        part, source = VARIATIONS[name]
        traits = {key for seed in range(20) for key in source(np.random.default_rng(seed))}
        mine, theirs = getattr(without, part), getattr(whole, part)
        assert replace(theirs, **{key: getattr(mine, key) for key in traits}) == mine
        assert replace(without, **{part: theirs}) == whole


def test_a_patient_without_sources_is_the_plain_one() -> None:
    plain, side = draw(3, *source_names()), draw(3).morphology.side
    assert plain == Patient(morphology=replace(Patient().morphology, side=side))


def test_an_unknown_source_is_refused() -> None:
    check_sources(("amplifier", "blink"))
    with pytest.raises(InputError, match=r"'tides' in leave_out. Choose one of \['alpha', 'am"):
        check_sources(("tides",))


def test_leaving_an_artefact_out_takes_nothing_else_from_the_signal() -> None:
    patient = replace(draw(1), artefacts={"blink": 3.0, "mains": 1.0, "muscle_tone": 1.0})
    patient = replace(patient, amplifier=replace(patient.amplifier, gains=0.0, highpass_hz=0.0,
                                                 lowpass_hz=0.0, notch_hz=0.0))  # fmt: skip

    def simulate(artefacts: dict[str, float]) -> np.ndarray:
        one = replace(patient, artefacts=artefacts)
        return simulate_recording(np.random.default_rng(2), one, [Moment(30, LPD)], 60).eeg

    change = simulate(patient.artefacts) - simulate({"mains": 1.0, "muscle_tone": 1.0})
    assert np.abs(change[EEG_COLUMNS.index("Fp1")]).max() > 30
    assert np.abs(change[EEG_COLUMNS.index("O1")]).max() < 5  # a blink's own field, and rounding


@pytest.mark.parametrize("name", list(ARTEFACTS))
def test_every_artefact_is_repeatable_and_does_something(name: str) -> None:
    first = added(name, 0)
    assert np.array_equal(first, added(name, 0))
    assert np.isfinite(first).all()
    assert first.any()


def test_only_heart_mains_and_sensor_reach_the_ekg() -> None:
    for name in set(ARTEFACTS) - {"ekg", "mains", "sensor"}:
        assert not added(name, 1)[EEG_COLUMNS.index(EKG)].any(), name


def test_blinks_are_frontal_and_positive() -> None:
    eeg = added("blink", 2, 4.0)
    peaks = dict(zip(EEG_COLUMNS, eeg.max(axis=1), strict=True))
    assert peaks["Fp1"] > 50
    assert peaks["Fp1"] > 10 * peaks["O1"]
    assert eeg.min() > -1e-9


@pytest.mark.parametrize("name", ["eye_movement", "roving_eyes"])
def test_eye_movements_have_opposite_signs_on_both_sides(name: str) -> None:
    eeg = added(name, 2)
    left, right = eeg[EEG_COLUMNS.index("F7")], eeg[EEG_COLUMNS.index("F8")]
    assert np.allclose(left, -right)
    assert np.abs(left).max() > 10


def test_the_reference_cancels_between_electrodes_but_for_offsets() -> None:
    eeg = added("reference", 3, 1.0)
    assert np.allclose(np.diff(eeg[:19], axis=0).std(axis=1), 0, atol=1e-9)


def test_heartbeat_has_its_largest_wave_in_the_middle() -> None:
    beat = heartbeat_table()
    assert np.isclose(beat.max(), 1, atol=0.05)
    assert 0.15 < beat.argmax() / 200 < 0.3
