from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from hms_pipeline.schema import ELECTRODES, SFREQ, SPECTROGRAM_FREQS
from hms_pipeline.simulator.amplifier import amplify
from hms_pipeline.simulator.course import Course, draw_course, heights
from hms_pipeline.simulator.head import derive
from hms_pipeline.simulator.latent import Latent
from hms_pipeline.simulator.patient import Amplifier, Morphology, Patient, draw_patient
from hms_pipeline.simulator.pattern import add_pattern, discharge_tables, wave_tables
from hms_pipeline.simulator.recording import Moment, Recording, readable, simulate_recording

LEFT = [ELECTRODES.index(name) for name in ("F7", "T3", "T5", "F3", "C3", "P3")]
RIGHT = [ELECTRODES.index(name) for name in ("F8", "T4", "T6", "F4", "C4", "P4")]


def steady(sharpness: float, laterality: float, rate_hz: float = 1.0) -> Course:
    """A pattern that stays as it is."""

    def at(value: float) -> np.ndarray:
        return np.full(2, value)

    return Course(
        times=np.array([0.0, 100.0]), level=at(1.0), sharpness=at(sharpness),
        laterality=at(laterality), rate_hz=at(rate_hz), spread=at(0.0), irregular=at(0.0),
        background=at(1.0),
    )  # fmt: skip


def pattern(course: Course, seed: int = 0, **changes: object) -> np.ndarray:
    rng = np.random.default_rng(seed)
    morphology = replace(Morphology(), **changes)
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


def test_lateralised_patterns_are_on_their_side_and_generalised_ones_on_both() -> None:
    one_sided = pattern(steady(1.0, 1.0)).std(axis=1)
    both = pattern(steady(1.0, 0.0)).std(axis=1)
    assert one_sided[RIGHT].mean() > 1.5 * one_sided[LEFT].mean()
    assert 0.8 < both[RIGHT].mean() / both[LEFT].mean() < 1.25


def test_discharges_are_sharp_and_have_gaps_and_rhythms_are_sinusoids() -> None:
    sharp = derive(pattern(steady(1.0, 1.0)))
    round_ = derive(pattern(steady(0.0, 1.0)))
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
    assert 80 < height < 180


def test_discharges_and_waves_have_unit_height_join_themselves_and_differ() -> None:
    for seed in range(20):
        morphology = draw_patient(np.random.default_rng(seed)).morphology
        for tables in (discharge_tables, wave_tables):
            table = tables(np.random.default_rng(seed), morphology)
            assert np.allclose(np.ptp(table, axis=1), 1)
            assert np.allclose(table[:, [0, -1]], 0, atol=1e-9)
            assert len(np.unique(table.round(6), axis=0)) == len(table)


def test_no_two_patients_have_the_same_discharge() -> None:
    """The likest of two patients' mean discharges over all lags is not a copy: no template."""
    shapes = []
    for seed in range(12):
        morphology = draw_patient(np.random.default_rng(seed)).morphology
        shape = discharge_tables(np.random.default_rng(0), morphology).mean(axis=0)
        shapes.append(np.abs(np.fft.rfft(shape - shape.mean())))  # blind to the lag
    likeness = np.corrcoef(shapes)[np.triu_indices(12, 1)]
    assert np.median(likeness) < 0.9


def test_a_seizure_evolves_in_rate_and_place_and_a_discharge_does_not() -> None:
    seizure = Latent(0.95, 0.95, 0.6, 0.9, 2.5)
    steady_state = replace(seizure, evolution=0.05, rate_hz=1.0)

    def courses(latent: Latent) -> list[Course]:
        patients = [draw_patient(np.random.default_rng(seed)) for seed in range(12)]
        return [
            draw_course(np.random.default_rng(seed), patient, [Moment(150, latent)], 300)
            for seed, patient in enumerate(patients)
        ]

    evolving, resting = courses(seizure), courses(steady_state)
    middle = slice(500, 700)  # 125 to 175 s

    def change(course: Course) -> float:
        rate = course.rate_hz[middle]
        return float(rate.max() / rate.min())

    # ACNS: more than 2.5 Hz, or evolution.
    for course in evolving:
        assert change(course) > 1.25 or course.rate_hz[middle].max() > 2.5
    assert np.median([change(c) for c in evolving]) > np.median([change(c) for c in resting])
    assert max(c.rate_hz.max() for c in resting) < 2.0
    assert np.median([c.spread.max() for c in evolving]) > 0.2
    assert max(c.spread.max() for c in resting) == 0


def test_a_labelled_pattern_covers_its_seconds_as_its_prominence_says() -> None:
    """A clear pattern runs all through them, a brief one at the boundary through two fifths."""
    brief = Patient(morphology=replace(Morphology(), weak=0.0, brief=1.0))

    def covered(prominence: float) -> np.ndarray:
        latent = Latent(prominence, 0.1, 0.9, 0.9, 1.0)
        shares = []
        for seed in range(40):
            course = draw_course(np.random.default_rng(seed), brief, [Moment(60, latent)], 120)
            label = np.abs(course.times - 60) <= 5
            shares.append((course.level[label] > 0.3).mean())
        return np.array(shares)

    assert covered(0.9).min() > 0.9
    assert 0.3 < covered(0.5).mean() < 0.55
    assert covered(0.5).std() < 0.12
    assert covered(0.1).max() < 0.2


def test_heights_grow_with_prominence_and_meet_the_boundary() -> None:
    weak = replace(Morphology(), weak=1.0)
    curve = heights(np.linspace(0, 1, 50), 20.0, weak)
    assert (np.diff(curve) > 0).all()
    assert np.isclose(heights(np.array(0.92), 20.0, weak), 1, atol=0.01)
    assert 4 < 20 * heights(np.array(0.5), 20.0, weak) < 6


def test_a_full_pattern_stands_out_of_every_background() -> None:
    for seed in range(60):
        patient = readable(draw_patient(np.random.default_rng(seed)))
        assert patient.morphology.height_uv >= 11 * patient.background.level_uv


def test_the_amplifier_filters_as_its_cut_offs_say() -> None:
    t = np.arange(8000) / SFREQ
    amplifier = Amplifier(highpass_hz=0.5, lowpass_hz=20.0, notch_hz=50.0, order=2)
    for hertz, gain in ((0.5, 0.707), (5.0, 1.0), (20.0, 0.707), (50.0, 0.0)):
        eeg = np.tile(np.sin(2 * np.pi * hertz * t), (20, 1))
        out = amplify(eeg, amplifier)[:, 4000:]
        assert abs(out.std() * 2**0.5 - gain) < 0.05, hertz
    offset = amplify(np.full((20, 4000), 300.0), amplifier)
    assert np.abs(offset).max() < 1e-6


def test_both_inputs_tell_one_story() -> None:
    """Where the rhythm runs, the spectrogram has its power: in the same minute."""
    rng = np.random.default_rng(8)
    patient = Patient(morphology=replace(Morphology(), height_uv=200.0))
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
    for _ in range(8):
        latent = Latent(0.2, 0.1, 0.5, 0.5, 1.0)
        eeg = simulate_recording(rng, draw_patient(rng), [Moment(30, latent)], 60).eeg
        waves = derive(eeg[:19])
        waves = waves - np.median(waves, axis=1, keepdims=True)
        medians.append(np.median(np.abs(waves)))
        assert 100 < np.ptp(eeg[19]) < 20_000
    assert 2 < np.median(medians) < 20
