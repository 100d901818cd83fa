"""Anti-aliased resampling that gives the same samples whatever stretch is asked for.

A stretch is computed from the input around it with one linear-phase filter, on a grid that starts
at the recording's first sample: reading block by block equals reading all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil

import numpy as np
from scipy.signal import firwin, resample_poly

from ..schema import SFREQ
from ..system.errors import InputError

MIN_SFREQ = 80.0  # Hz; the views read up to 20 Hz
MAX_DENOMINATOR = 2000


class Resampler:
    """Reads any stretch of a recording at 200 Hz.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` → ndarray, shape (n_channels, stop - start), at ``sfreq``.
    n_times : int
        Samples that ``read`` has.
    sfreq : float
        Their rate in Hz.
    name : str
        The file's name, for the error sentence.
    """

    def __init__(
        self, read: Callable[[int, int], np.ndarray], n_times: int, sfreq: float, name: str
    ) -> None:
        if sfreq < MIN_SFREQ:
            raise InputError(
                f"Sampling rate must be at least {MIN_SFREQ:g} Hz, but {name} has {sfreq:g} Hz."
                " Export it at its original rate."
            )
        ratio = Fraction(SFREQ / sfreq).limit_denominator(MAX_DENOMINATOR)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._read, self._n_input = read, n_times
        self.n_times = n_times * self._up // self._down
        fastest = max(self._up, self._down)
        # The filter's half length: ten periods of the lower rate, as scipy's own default.
        if fastest > 1:
            self._taps = firwin(20 * fastest + 1, 1 / fastest, window=("kaiser", 5.0))
        self._margin = ceil((10 * fastest / self._up + 1) / self._down)  # in steps of `down`

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples ``start`` to ``stop`` at 200 Hz; both within 0 and ``n_times``.

        Returns
        -------
        ndarray, shape (n_channels, stop - start), float64
        """
        if self._up == self._down:
            return self._read(start, stop)
        first = start // self._up - self._margin  # grid steps: `down` in, `up` out
        last = ceil(stop / self._up) + self._margin
        piece = self._padded(first * self._down, last * self._down)
        out = resample_poly(piece, self._up, self._down, axis=1, window=self._taps)
        offset = start - first * self._up
        return out[:, offset : offset + stop - start]

    def _padded(self, start: int, stop: int) -> np.ndarray:
        inside = self._read(max(start, 0), min(stop, self._n_input))
        before, after = max(-start, 0), max(stop - self._n_input, 0)
        return np.pad(inside, ((0, 0), (before, after)), mode="edge")
