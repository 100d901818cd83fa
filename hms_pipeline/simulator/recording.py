"""One patient's continuous recording: EEG at 20 channels and the spectrogram of the same signal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from ..schema import EEG_COLUMNS, ELECTRODES, SFREQ
from .amplifier import amplify
from .background import add_background
from .course import Moment, draw_course
from .patient import Patient, stream
from .pattern import add_pattern
from .spectrogram import MARGIN, multitaper_spectrogram, round_significant
from .variation import ARTEFACTS

__all__ = ["Moment", "Recording", "simulate_recording"]
READABLE = 12.0  # lowest height of a full pattern, in standard deviations of the background


@dataclass(frozen=True)
class Recording:
    """A simulated recording.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        float32 microvolts, in steps of 0.1.
    spectrogram : array, shape (4, 100, n_times // 400)
        float32, four significant digits.
    """

    eeg: np.ndarray
    spectrogram: np.ndarray


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
    key = int(rng.integers(2**63))
    shifted = [Moment(moment.time_s + MARGIN / SFREQ, moment.latent) for moment in moments]
    patient = readable(patient)
    course = draw_course(stream(key, "course"), patient, shifted, n / SFREQ)
    eeg = np.zeros((len(EEG_COLUMNS), n))
    brain = eeg[: len(ELECTRODES)]
    add_background(stream(key, "background"), brain, patient.background)
    if course.background.min() < 1:
        brain *= course.at("background", np.arange(n) / SFREQ)
    add_pattern(stream(key, "pattern"), brain, patient.morphology, course)
    # What lies under an electrode reaches it more or less; what is on the reference, alike.
    contact = stream(key, "contact").standard_normal((len(brain), 1))
    brain *= np.exp(patient.amplifier.gains * contact)
    for name, amount in sorted(patient.artefacts.items()):
        ARTEFACTS[name].add(stream(key, name), eeg, amount)
    eeg = amplify(eeg[:, :wanted], patient.amplifier)
    # The spectrogram is made from what the file holds: whole tenths of a microvolt.
    np.divide(np.rint(np.multiply(eeg, 10, out=eeg), out=eeg), 10, out=eeg)
    spectrogram = round_significant(multitaper_spectrogram(eeg).astype(float))
    return Recording(
        eeg=eeg[:, MARGIN:-MARGIN].astype(np.float32), spectrogram=spectrogram.astype(np.float32)
    )


def readable(patient: Patient) -> Patient:
    """The same patient with a pattern that stands out of the background where it is in full.

    Where it does not, the pattern grows by half of what lacks and the background shrinks by half.
    """
    background, morphology = patient.background, patient.morphology
    rhythms = 0.5 * np.hypot(background.alpha_uv, background.beta_uv)
    level = float(np.hypot(background.level_uv, rhythms))
    lacks = max(READABLE * level / morphology.height_uv, 1.0) ** 0.5
    lower = {
        name: getattr(background, name) / lacks for name in ("level_uv", "alpha_uv", "beta_uv")
    }
    return replace(
        patient,
        background=replace(background, **lower),
        morphology=replace(morphology, height_uv=morphology.height_uv * lacks),
    )
