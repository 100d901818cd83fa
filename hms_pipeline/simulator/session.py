"""The signals of a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..schema import SFREQ
from .missing import EEG_SHARE, SPECTROGRAM_SHARE, drop_rows, drop_samples
from .patient import draw_patient
from .plan import EegPlan, SessionPlan
from .recording import simulate_recording


@dataclass(frozen=True)
class Session:
    """A simulated session.

    Parameters
    ----------
    eegs : tuple of (EegPlan, array of shape (20, n_times))
    spectrogram : array, shape (4, 100, n_rows)
    """

    eegs: tuple[tuple[EegPlan, np.ndarray], ...]
    spectrogram: np.ndarray


def simulate_session(
    seed: int, plan: SessionPlan, missing: bool = True, leave_out: tuple[str, ...] = ()
) -> Session:
    """Signals of one session; they do not depend on other sessions or on the process.

    Parameters
    ----------
    seed : int
        The sample's seed.
    plan : SessionPlan
    missing : bool
        Let some files lack samples, as real ones do.
    leave_out : tuple of str
        Sources of variation to do without.
    """
    patient = draw_patient(np.random.default_rng([seed, plan.patient, 1]), leave_out)
    rng = np.random.default_rng([seed, plan.patient, 2, plan.session])
    recording = simulate_recording(rng, patient, list(plan.moments), plan.duration_s)
    eegs = []
    for eeg in plan.eegs:
        start = int(eeg.start_s * SFREQ)
        stop = start + int(eeg.duration_s * SFREQ)
        samples = recording.eeg[:, start:stop].copy()
        if rng.random() < EEG_SHARE and missing:
            drop_samples(rng, samples)
        eegs.append((eeg, samples))
    if rng.random() < SPECTROGRAM_SHARE and missing:
        drop_rows(rng, recording.spectrogram)
    return Session(tuple(eegs), recording.spectrogram)
