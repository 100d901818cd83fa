"""The amplifier: filters between electrodes and file."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from ..schema import SFREQ
from .patient import Amplifier

FASTEST_HZ = 0.45 * SFREQ  # a low-pass above it does nothing here


def amplify(eeg: np.ndarray, amplifier: Amplifier) -> np.ndarray:
    """The causal filters of a clinical machine, started at rest on the first sample.

    Parameters
    ----------
    eeg : array, shape (n_channels, n_times)
        Microvolts.
    amplifier : Amplifier

    Returns
    -------
    array, shape (n_channels, n_times)
    """
    sections = filter_sections(amplifier)
    if not len(sections):
        return eeg
    start = sosfilt_zi(sections)[:, None] * eeg[:, :1]
    return sosfilt(sections, eeg, axis=-1, zi=start)[0]


def filter_sections(amplifier: Amplifier) -> np.ndarray:
    """Second-order sections of all its filters, array of shape (n_sections, 6)."""
    parts = [np.zeros((0, 6))]
    if amplifier.highpass_hz:
        parts.append(butter(1, amplifier.highpass_hz, "high", fs=SFREQ, output="sos"))
    if 0 < amplifier.lowpass_hz < FASTEST_HZ:
        parts.append(butter(amplifier.order, amplifier.lowpass_hz, fs=SFREQ, output="sos"))
    if amplifier.notch_hz:
        parts.append(tf2sos(*iirnotch(amplifier.notch_hz, 20.0, fs=SFREQ)))
    return np.concatenate(parts)
