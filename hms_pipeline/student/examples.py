"""Windows made by a formula, for checks that must not change when the simulator does."""

from __future__ import annotations

import numpy as np

from ..data.window import Window
from ..schema import EEG_COLUMNS, SFREQ, WINDOW_SAMPLES

RHYTHMS = ((1.5, "F"), (1.0, "T"), (9.0, "O"), (3.0, "FCTPO"), (0.5, "C"), (14.0, "P"))


def example_windows() -> list[Window]:
    """Six windows of brown noise with a rhythm (Hz) over some electrodes, on one side in three.

    NumPy's old generator is used: its numbers never change.
    """
    drawn = np.random.RandomState(20240109)
    return [_window(drawn, *rhythm, one_side=k % 2 == 0) for k, rhythm in enumerate(RHYTHMS)]


def _window(drawn: np.random.RandomState, rate_hz: float, where: str, *, one_side: bool) -> Window:
    t_s = np.arange(WINDOW_SAMPLES) / SFREQ
    noise = drawn.normal(size=(len(EEG_COLUMNS), WINDOW_SAMPLES)).cumsum(axis=1)
    noise -= np.linspace(0, 1, WINDOW_SAMPLES) * noise[:, -1:]
    eeg = 25 * noise / noise.std(axis=1, keepdims=True)  # µV
    wave = np.sin(2 * np.pi * rate_hz * t_s)
    for row, name in enumerate(EEG_COLUMNS):
        left = name[-1] in "13579"
        if name[0] in where and (left or not one_side):
            eeg[row] += 80 * np.sign(wave) * wave**2
    return Window(eeg.astype(np.float32), None)
