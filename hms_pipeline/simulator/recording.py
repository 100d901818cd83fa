"""One patient's continuous recording: EEG at 20 channels and the spectrogram of the same signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from ..schema import EEG_COLUMNS, ELECTRODES, SFREQ
from .artefacts import Event, add_artefacts, draw_amounts
from .background import Background, add_background, draw_background
from .latent import Latent
from .noise import slow_curve
from .pattern import Course, Morphology, add_pattern, draw_morphology
from .spectrogram import MARGIN, multitaper_spectrogram, round_significant

STEP_S = 2.0  # knots of a course


@dataclass(frozen=True)
class Patient:
    """What stays the same over a patient's recordings."""

    background: Background
    morphology: Morphology
    artefacts: dict[str, float]


@dataclass(frozen=True)
class Moment:
    """What a recording shows around a time, in seconds from its start."""

    time_s: float
    latent: Latent


@dataclass(frozen=True)
class Recording:
    """A simulated recording.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        float32 microvolts, in steps of 0.1.
    spectrogram : array, shape (4, 100, n_times // 400)
        float32, four significant digits.
    events : tuple of Event
        Its artefacts; samples count from the start of ``eeg``.
    """

    eeg: np.ndarray
    spectrogram: np.ndarray
    events: tuple[Event, ...]


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient; the side of a lesion is also the side of its patterns."""
    side = int(rng.choice([-1, 1]))
    lesion = side if rng.random() < 0.5 else 0
    return Patient(
        background=draw_background(rng, lesion),
        morphology=draw_morphology(rng, side),
        artefacts=draw_amounts(rng),
    )


def draw_course(rng: np.random.Generator, moments: list[Moment], duration_s: float) -> Course:
    """Join moments into one course; patterns wax and wane between them, seizures run through.

    Parameters
    ----------
    rng : Generator
    moments : list of Moment
        At least one, in order of time.
    duration_s : float
    """
    times = np.arange(0.0, duration_s + STEP_S, STEP_S)
    at = np.array([moment.time_s for moment in moments])

    def join(name: str) -> np.ndarray:
        values = [getattr(moment.latent, name) for moment in moments]
        return np.interp(times, at, values)

    prominence = join("prominence")
    # Far from the labelled moments the pattern comes and goes.
    distance = np.abs(times[:, None] - at).min(axis=1)
    free = np.clip((distance - 12) / 20, 0, 1)
    wander = 0.28 * slow_curve(rng, len(times), rng.uniform(20, 70), 1 / STEP_S) - 0.08
    prominence = np.clip(prominence + free * wander, 0, 1)
    sharpness, laterality = join("sharpness"), join("laterality")
    rate = join("rate_hz") * np.exp(0.05 * slow_curve(rng, len(times), 30.0, 1 / STEP_S))
    spread = np.zeros_like(times)
    for moment in moments:
        if moment.latent.evolution > 0.3 and moment.latent.prominence > 0.3:
            _evolve(rng, moment, times, prominence, laterality, spread, rate)
    return Course(times, prominence, sharpness, laterality, spread, np.clip(rate, 0.4, 12))


def _evolve(
    rng: np.random.Generator,
    moment: Moment,
    times: np.ndarray,
    prominence: np.ndarray,
    laterality: np.ndarray,
    spread: np.ndarray,
    rate: np.ndarray,
) -> None:
    """Run a seizure, or what nearly is one, through a course in place."""
    depth = min(1.0, max(0.0, (moment.latent.evolution - 0.3) / 0.4))
    length = rng.uniform(40, 110)
    start = moment.time_s - rng.uniform(0.25, 0.75) * length
    part = (times - start) / length
    inside = (part > 0) & (part < 1)
    x = part[inside]
    first, last = sorted((rng.uniform(2.6, 6.5), rng.uniform(1.2, 2.6)), reverse=True)
    if rng.random() < 0.3:  # builds up before it slows
        chirp = np.interp(x, [0, 0.35, 1], [0.6 * first, first, last])
    else:
        chirp = np.interp(x, [0, 0.6, 1], [first, 0.6 * first + 0.4 * last, last])
    rate[inside] = rate[inside] ** (1 - depth) * chirp**depth
    growth = np.interp(x, [0, 0.15, 0.6, 0.97, 1], [0.5, 0.8, 1.3, 1.6, 0.4])
    level = moment.latent.prominence * (1 - depth + depth * growth)
    prominence[inside] = np.maximum(level, prominence[inside] * (1 - depth))
    spread[inside] = depth * np.clip(x * 1.3, 0, 1)
    laterality[inside] *= 1 - 0.6 * depth * np.clip(x * 1.2 - 0.2, 0, 1)
    after = (part >= 1) & (part < 1.5)  # quiet after the seizure
    near = np.clip(np.abs(times[after] - moment.time_s) / 10, 0, 1)
    prominence[after] *= 1 - 0.8 * depth * near


def simulate_recording(
    rng: np.random.Generator, patient: Patient, moments: list[Moment], duration_s: float
) -> Recording:
    """Simulate EEG and spectrogram of one stretch of a patient.

    Parameters
    ----------
    rng : Generator
    patient : Patient
    moments : list of Moment
        What it shows, and when.
    duration_s : float
        Even number of seconds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> lpd = Latent(0.9, 0.1, 0.9, 0.9, 1.0)
    >>> recording = simulate_recording(rng, draw_patient(rng), [Moment(30, lpd)], 60)
    >>> recording.eeg.shape, recording.spectrogram.shape
    ((20, 12000), (4, 100, 30))
    """
    wanted = int(duration_s * SFREQ) + 2 * MARGIN
    n = fft.next_fast_len(wanted, real=True)
    margin_s = MARGIN / SFREQ
    shifted = [Moment(moment.time_s + margin_s, moment.latent) for moment in moments]
    course = draw_course(rng, shifted, n / SFREQ)
    eeg = np.zeros((len(EEG_COLUMNS), n))
    brain = eeg[: len(ELECTRODES)]
    add_background(rng, brain, patient.background)
    add_pattern(rng, brain, patient.morphology, course)
    events = add_artefacts(rng, eeg, patient.artefacts)
    # The spectrogram is made from what the file holds: whole tenths of a microvolt.
    eeg = eeg[:, :wanted]
    np.divide(np.rint(np.multiply(eeg, 10, out=eeg), out=eeg), 10, out=eeg)
    spectrogram = round_significant(multitaper_spectrogram(eeg).astype(float))
    return Recording(
        eeg=eeg[:, MARGIN:-MARGIN].astype(np.float32),
        spectrogram=spectrogram.astype(np.float32),
        events=tuple(_shift(event, wanted - 2 * MARGIN) for event in events),
    )


def _shift(event: Event, n: int) -> Event:
    start, stop = (min(max(edge - MARGIN, 0), n) for edge in (event.start, event.stop))
    return Event(event.kind, start, stop, event.channels, event.peak_uv)
