from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from hms_pipeline.schema import ELECTRODES, SFREQ, SPECTROGRAM_FREQS
from hms_pipeline.simulator.head import derive
from hms_pipeline.simulator.latent import Latent
from hms_pipeline.simulator.pattern import Course, add_pattern, discharge_table, draw_morphology
from hms_pipeline.simulator.recording import (
    Moment,
    Recording,
    draw_course,
    draw_patient,
    simulate_recording,
)

LEFT = [ELECTRODES.index(name) for name in ("F7", "T3", "T5", "F3", "C3", "P3")]
RIGHT = [ELECTRODES.index(name) for name in ("F8", "T4", "T6", "F4", "C4", "P4")]


def steady(sharpness: float, laterality: float, rate_hz: float = 1.0) -> Course:
    """A pattern that stays as it is."""

    def at(value: float) -> np.ndarray:
        return np.full(2, value)

    times = np.array([0.0, 100.0])
    return Course(times, at(1.0), at(sharpness), at(laterality), at(0.0), at(rate_hz))


def pattern(course: Course, seed: int = 0, **changes: object) -> np.ndarray:
    rng = np.random.default_rng(seed)
    morphology = replace(draw_morphology(rng, 1), side=1, triphasic=0.0, **changes)
    potential = np.zeros((19, 12_000))
    add_pattern(rng, potential, morphology, course)
    return potential


def test_shapes_steps_and_types(recording: Recording) -> None:
    assert recording.eeg.shape == (20, 24_000)
    assert recording.spectrogram.shape == (4, 100, 60)
    assert recording.eeg.dtype == recording.spectrogram.dtype == np.float32
    tenths = recording.eeg.astype(float) * 10
    assert np.abs(tenths - np.rint(tenths)).max() < 0.01
    assert np.isfinite(recording.eeg).all()
    assert (recording.spectrogram > 0).all()


def test_equal_seeds_give_equal_signals(recording: Recording) -> None:
    latent = Latent(0.95, 0.1, 0.95, 0.95, 1.0)
    rng = np.random.default_rng(3)
    again = simulate_recording(rng, draw_patient(rng), [Moment(60.0, latent)], 120)
    assert np.array_equal(again.eeg, recording.eeg)
    assert np.array_equal(again.spectrogram, recording.spectrogram)
    assert again.events == recording.events


def test_lateralised_patterns_are_on_their_side_and_generalised_ones_on_both() -> None:
    one_sided = pattern(steady(1.0, 1.0)).std(axis=1)
    both = pattern(steady(1.0, 0.0)).std(axis=1)
    assert one_sided[RIGHT].mean() > 1.5 * one_sided[LEFT].mean()
    assert 0.8 < both[RIGHT].mean() / both[LEFT].mean() < 1.25


def test_discharges_are_sharp_and_have_gaps_and_rhythms_are_sinusoids() -> None:
    sharp = derive(pattern(steady(1.0, 1.0)))
    round_ = derive(pattern(steady(0.0, 1.0), harmonic=0.0))
    channel = np.abs(sharp).max(axis=1).argmax()

    def resting(wave: np.ndarray) -> float:
        return float((np.abs(wave) < 0.1 * np.percentile(np.abs(wave), 99)).mean())

    assert resting(sharp[channel]) > 3 * resting(round_[channel])


@pytest.mark.parametrize("rate_hz", [0.8, 1.5, 2.5])
def test_rhythm_peaks_at_its_rate(rate_hz: float) -> None:
    wave = pattern(steady(0.0, 1.0, rate_hz), regularity=0.02)[RIGHT[1]]
    freqs, power = welch(wave, SFREQ, nperseg=4000)
    assert abs(freqs[power.argmax()] - rate_hz) < 0.15


def test_height_is_peak_to_trough_in_the_largest_derivation() -> None:
    waves = derive(pattern(steady(1.0, 1.0), height_uv=100.0))
    height = np.median([np.ptp(waves[:, k : k + 400], axis=1).max() for k in range(0, 12_000, 400)])
    assert 60 < height < 250


def test_discharge_has_unit_height_and_joins_itself() -> None:
    morphology = draw_morphology(np.random.default_rng(0), 1)
    for triphasic in (0.0, 0.8):
        table = discharge_table(replace(morphology, triphasic=triphasic))
        assert np.isclose(np.ptp(table), 1)
        assert np.isclose(table[0], table[-1], atol=1e-9)


def test_a_seizure_evolves_in_rate_and_place_and_a_discharge_does_not() -> None:
    seizure = Latent(0.95, 0.95, 0.6, 0.9, 2.5)
    steady_state = replace(seizure, evolution=0.05, rate_hz=1.0)

    def ranges(latent: Latent) -> tuple[float, float]:
        courses = [
            draw_course(np.random.default_rng(seed), [Moment(150, latent)], 300)
            for seed in range(8)
        ]
        rates = [np.ptp(course.rate_hz[50:100]) for course in courses]
        return float(np.median(rates)), max(course.spread.max() for course in courses)

    assert ranges(seizure)[0] > 4 * ranges(steady_state)[0]
    assert ranges(seizure)[1] > 0.5
    assert ranges(steady_state)[1] == 0


def test_both_inputs_tell_one_story() -> None:
    """Where the rhythm runs, the spectrogram has its power: in the same minute."""
    rng = np.random.default_rng(8)
    patient = draw_patient(rng)
    patient = replace(patient, artefacts=dict.fromkeys(patient.artefacts, 0.0))
    morphology = replace(patient.morphology, height_uv=200.0)
    patient = replace(patient, morphology=morphology)
    off = Latent(0.0, 0.0, 0.0, 0.0, 2.0)
    moments = [Moment(20, off), Moment(58, off), Moment(62, replace(off, prominence=1.0))]
    moments.append(Moment(100, moments[-1].latent))
    recording = simulate_recording(rng, patient, moments, 120)
    freqs = np.array(SPECTROGRAM_FREQS)
    band = recording.spectrogram[:, (freqs > 1.2) & (freqs < 3)].mean(axis=(0, 1))
    assert band[35:45].mean() > 3 * band[12:26].mean()
    waves = derive(recording.eeg[:19])
    assert waves[:, 14_000:18_000].std() > 1.3 * waves[:, 5_000:10_000].std()


def test_amplitudes_are_those_of_a_scalp() -> None:
    """Bipolar amplitudes of ICU EEG: tens of microvolts; EKG hundreds."""
    rng = np.random.default_rng(4)
    medians = []
    for _ in range(4):
        latent = Latent(0.2, 0.1, 0.5, 0.5, 1.0)
        eeg = simulate_recording(rng, draw_patient(rng), [Moment(30, latent)], 60).eeg
        waves = derive(eeg[:19])
        waves = waves - np.median(waves, axis=1, keepdims=True)
        medians.append(np.median(np.abs(waves)))
        assert 100 < np.ptp(eeg[19]) < 20_000
    assert 2 < np.median(medians) < 20
