"""Why: how an answer changes when a region, or a stretch of time, is masked (occlusion).

What is masked looks as if nothing happened there: a region's electrodes become the straight line
between the ends of their chain and its spectrogram the mean of the other regions'; a stretch of
time becomes a straight line in every electrode, and in the spectrogram the region's median.

References
----------
Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..data.window import Window
from ..schema import (
    CHAINS,
    EEG_COLUMNS,
    ELECTRODES,
    MIDLINE,
    REGIONS,
    SFREQ,
    SPECTROGRAM_S,
    SPECTROGRAM_STEP_S,
    WINDOW_S,
)

STRETCH_S = 5.0
MIDLINE_REGION = "midline"
MASKED = (*REGIONS, MIDLINE_REGION)


@dataclass(frozen=True)
class Explanation:
    """What an answer rests on.

    Parameters
    ----------
    class_index : int
        The class in question: the most probable one.
    prob : float
        Its probability.
    regions : dict of str to float
        Region → how much its masking lowers that probability; negative where it raises it.
    stretches : ndarray, shape (10,)
        The same of every 5 s.
    n_scored : int
        Windows that were scored for it.
    seconds : float
        What that took.
    """

    class_index: int
    prob: float
    regions: dict[str, float]
    stretches: np.ndarray
    n_scored: int
    seconds: float


def explain(predictor, window: Window) -> Explanation:
    """Mask every region and every stretch of a window in turn, and score each.

    Parameters
    ----------
    predictor : WindowScorer
        The model that answered.
    window : Window
    """
    begin = time.monotonic()
    starts_s = np.arange(0.0, WINDOW_S, STRETCH_S)
    masked = [
        *(without_region(window, region) for region in MASKED),
        *(without_stretch(window, start, start + STRETCH_S) for start in starts_s),
    ]
    probs = np.asarray(predictor.predict([window, *masked]).probs)
    k = int(probs[0].argmax())
    drop = probs[0, k] - probs[1:, k]
    return Explanation(
        class_index=k,
        prob=float(probs[0, k]),
        regions=dict(zip(MASKED, drop[: len(MASKED)].tolist(), strict=True)),
        stretches=drop[len(MASKED) :],
        n_scored=len(probs),
        seconds=time.monotonic() - begin,
    )


def without_region(window: Window, region: str) -> Window:
    """A window whose EEG is interpolated in a region, and whose spectrogram there is a mean.

    Parameters
    ----------
    window : Window
    region : str
        One of ``MASKED``.
    """
    eeg = np.array(window.eeg)
    index = EEG_COLUMNS.index
    if region == MIDLINE_REGION:
        around = [("F3", "F4"), ("C3", "C4"), ("P3", "P4")]
        for name, (a, b) in zip(MIDLINE, around, strict=True):
            eeg[index(name)] = (eeg[index(a)] + eeg[index(b)]) / 2
        return Window(eeg, window.spectrogram)
    first, *inner, last = (index(name) for name in CHAINS[region])
    for step, channel in enumerate(inner, 1):
        share = step / (len(inner) + 1)
        eeg[channel] = (1 - share) * eeg[first] + share * eeg[last]
    spectrogram = None if window.spectrogram is None else np.array(window.spectrogram)
    if spectrogram is not None:
        row = REGIONS.index(region)
        spectrogram[row] = np.delete(spectrogram, row, axis=0).mean(axis=0)
    return Window(eeg, spectrogram)


def without_stretch(window: Window, start_s: float, stop_s: float) -> Window:
    """A window whose EEG is a straight line, and whose spectrogram is its median, for a while.

    Parameters
    ----------
    window : Window
    start_s, stop_s : float
        From when to when, in seconds from the window's start.
    """
    eeg = np.array(window.eeg)
    first, last = int(start_s * SFREQ), min(int(stop_s * SFREQ), eeg.shape[1]) - 1
    ramp = np.linspace(0, 1, last - first + 1, dtype=eeg.dtype)
    scalp = slice(0, len(ELECTRODES))
    before, after = eeg[scalp, first, None], eeg[scalp, last, None]
    eeg[scalp, first : last + 1] = (1 - ramp) * before + ramp * after
    spectrogram = None if window.spectrogram is None else np.array(window.spectrogram)
    if spectrogram is not None:
        begin = (SPECTROGRAM_S - WINDOW_S) / 2
        rows = slice(
            int((begin + start_s) // SPECTROGRAM_STEP_S),
            int(-(-(begin + stop_s) // SPECTROGRAM_STEP_S)),
        )
        known = np.isfinite(spectrogram)
        usual = np.median(np.where(known, spectrogram, 0), axis=2, keepdims=True)
        spectrogram[:, :, rows] = usual
    return Window(eeg, spectrogram)
