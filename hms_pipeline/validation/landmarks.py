"""A fingerprint of an EEG that survives scaling, shifting and light noise.

Four contrasts between groups of electrodes (averages, so that noise of single electrodes
shrinks) are band-passed; their dominant peaks are landmarks; the gaps between
successive landmarks, coarsely rounded, make a hash. Gaps do not change when the recording is
scaled or starts later, and rarely change under light noise. A fixed eighth of all hashes is
kept, chosen by the hash itself, so that two copies keep the same ones.

References
----------
Wang, "An industrial-strength audio search algorithm", ISMIR 2003.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d

from ..schema import ELECTRODES, SFREQ

CONTRASTS = (  # electrodes whose mean counts +, those whose mean counts −
    (ELECTRODES, ()),
    (("Fp1", "F7", "F3", "T3", "C3"), ("Fp2", "F8", "F4", "T4", "C4")),
    (("Fp1", "Fp2", "F3", "F4", "Fz"), ("P3", "P4", "O1", "O2", "Pz")),
    (("F7", "T3", "T5", "F8", "T4", "T6"), ("F3", "C3", "P3", "F4", "C4", "P4", "Cz")),
)
BAND_HZ = (1.0, 5.0)
N_TAPS = 301
DECIMATION = 2
SIGNATURE_SFREQ = SFREQ / DECIMATION
DOMINANCE_S = 0.2  # a landmark is the extreme within this distance
GAP_STEP_S = 0.05  # rounding of the gaps
N_GAPS = 6
KEEP_ONE_IN = 8


@cache
def _weights() -> np.ndarray:
    """Contrasts as weights, shape (4, 19)."""
    weights = np.zeros((len(CONTRASTS), len(ELECTRODES)), np.float32)
    for row, (plus, minus) in zip(weights, CONTRASTS, strict=True):
        for name in plus:
            row[ELECTRODES.index(name)] = 1 / len(plus)
        for name in minus:
            row[ELECTRODES.index(name)] = -1 / len(minus)
    return weights


@cache
def _band_pass() -> np.ndarray:
    """Windowed sinc; written out because importing scipy.signal would cost a second per process."""
    t = (np.arange(N_TAPS) - N_TAPS // 2) / SFREQ
    low, high = (2 * edge * np.sinc(2 * edge * t) / SFREQ for edge in BAND_HZ)
    return ((high - low) * np.hamming(N_TAPS)).astype(np.float32)


def _filter(waves: np.ndarray) -> np.ndarray:
    """Zero-phase band-pass along the last axis."""
    n_times = waves.shape[1]
    n_fft = next_fast_len(n_times + N_TAPS - 1, real=True)
    filtered = irfft(rfft(waves, n_fft) * rfft(_band_pass(), n_fft), n_fft)
    return filtered[:, N_TAPS // 2 : N_TAPS // 2 + n_times]


def signature(eeg: np.ndarray) -> np.ndarray:
    """Four band-passed contrasts at 100 Hz; electrodes count as zero where missing.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts, NaN where missing.

    Returns
    -------
    array, shape (4, n_times // 2), float32
    """
    scalp = eeg[: len(ELECTRODES)]
    missing = ~np.isfinite(scalp)
    if missing.any():
        sums = np.sum(scalp, axis=1, where=~missing, keepdims=True)
        means = sums / np.maximum(1, np.sum(~missing, axis=1, keepdims=True))
        scalp = np.where(missing, 0.0, scalp - means)
    else:
        scalp = scalp - scalp.mean(axis=1, keepdims=True)
    waves = _weights() @ scalp.astype(np.float32)
    return _filter(waves)[:, : 2 * (eeg.shape[1] // 2) : DECIMATION].astype(np.float32)


def landmark_hashes(eeg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of a recording and the times at which they begin.

    Parameters
    ----------
    eeg : array, shape (20, n_times)
        Microvolts, NaN where missing.

    Returns
    -------
    hashes : array, shape (n_landmarks,), uint64
    times : array, shape (n_landmarks,), float32
        Seconds from the recording's start.
    """
    found = [
        _hashes(polarity * wave, salt=2 * number + (polarity > 0))
        for number, wave in enumerate(signature(eeg))
        for polarity in (1, -1)
    ]
    hashes = np.concatenate([h for h, _ in found])
    times = np.concatenate([t for _, t in found])
    return hashes, times


def _hashes(wave: np.ndarray, salt: int) -> tuple[np.ndarray, np.ndarray]:
    times = _peak_times(wave)
    if len(times) <= N_GAPS:
        return np.empty(0, np.uint64), np.empty(0, np.float32)
    gaps = np.round(np.diff(times) / GAP_STEP_S).astype(np.int64)
    gaps = np.clip(gaps, 0, 255).astype(np.uint64)
    hashes = np.full(len(gaps) - N_GAPS + 1, salt, np.uint64)
    for k in range(N_GAPS):
        hashes = _mix(hashes ^ gaps[k : k + len(hashes)])
    kept = hashes % np.uint64(KEEP_ONE_IN) == 0
    return hashes[kept], times[: len(hashes)][kept].astype(np.float32)


def _mix(values: np.ndarray) -> np.ndarray:
    """One round of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _peak_times(wave: np.ndarray) -> np.ndarray:
    """Times (s) of positive peaks that dominate their neighbourhood, between samples."""
    reach = 2 * round(DOMINANCE_S * SIGNATURE_SFREQ) + 1
    peaks = np.flatnonzero((wave == maximum_filter1d(wave, reach)) & (wave > 0))
    peaks = peaks[(peaks > 0) & (peaks < len(wave) - 1)]
    before, at, after = wave[peaks - 1], wave[peaks], wave[peaks + 1]
    bend = before - 2 * at + after
    sharp = bend < 0
    shift = np.zeros(len(peaks))
    shift[sharp] = 0.5 * (before[sharp] - after[sharp]) / bend[sharp]
    return (peaks + shift) / SIGNATURE_SFREQ
