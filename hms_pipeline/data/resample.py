"""Anti-aliased resampling; a sample is the same in every stretch that contains it.

Every sample at 200 Hz is a weighted mean of the file's samples around its exact time; it depends
on nothing else. The weights sum to one for each sample, so that a constant stays a constant.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, lcm

import numpy as np
from scipy.sparse import csr_array
from scipy.special import i0

from ..schema import SFREQ
from .formats.format import Segment

RATE = Fraction(SFREQ)
PERIODS = 10  # a sample is made of so many periods of the lower rate on each side
KAISER = 9.0  # shape of the window over them: exact to 3e-5 up to 20 Hz, at rates from 80 Hz on
SLACK = Fraction(1, 1000)  # tolerance, as a share of a sample


def sample_at(seconds: Fraction) -> int:
    """The first sample at 200 Hz that is not before a time; headers round times.

    Examples
    --------
    >>> sample_at(Fraction(1)), sample_at(Fraction("1.0000001")), sample_at(Fraction("1.001"))
    (200, 200, 201)
    """
    return ceil(seconds * RATE - SLACK)


class Resampler:
    """Reads any stretch of channels of one rate at 200 Hz, on the recording's clock.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` → ndarray, shape (n_channels, stop - start), at ``sfreq``.
    segments : sequence of Segment
        When those samples were recorded.
    sfreq : Fraction
        Their rate in Hz.
    """

    def __init__(
        self, read: Callable[[int, int], np.ndarray], segments: Sequence[Segment], sfreq: Fraction
    ) -> None:
        self._read, self._segments, self._sfreq = read, segments, sfreq
        self._firsts = [sample_at(segment.onset) for segment in segments]
        self._lasts = [sample_at(segment.end) for segment in segments]
        self._step = sfreq / RATE  # the file's samples from one sample to the next
        self._reach = PERIODS * max(Fraction(1), self._step)
        self._cutoff = float(min(Fraction(1), 1 / self._step))

    def read(self, start: int, stop: int) -> list[tuple[int, np.ndarray]]:
        """What was recorded of samples ``start`` to ``stop`` at 200 Hz.

        Returns
        -------
        list of (int, ndarray of shape (n_channels, n))
            First sample and samples, float64, of stretches; between them nothing was recorded.
        """
        found = []
        # Segments follow each other, so that those before and behind need not be looked at.
        for k in range(bisect_right(self._lasts, start), bisect_left(self._firsts, stop)):
            first, last = max(int(start), self._firsts[k]), min(int(stop), self._lasts[k])
            if first < last:
                found.append((first, self._read_segment(self._segments[k], first, last)))
        return found

    def _read_segment(self, segment: Segment, first: int, last: int) -> np.ndarray:
        begin = round(segment.start * self._sfreq)
        end = begin + round(segment.duration * self._sfreq)
        place = begin + (first / RATE - segment.onset) * self._sfreq  # of the first sample
        if self._step == 1 and place.denominator == 1:
            return self._read(int(place), min(int(place) + last - first, end))
        before = max(begin, int(place - self._reach))
        behind = min(end, ceil(place + (last - first) * self._step + self._reach) + 1)
        weights = self._weights(place - before, last - first, behind - before)
        return np.ascontiguousarray((weights @ self._read(before, behind).T).T)

    def _weights(self, place: Fraction, n_out: int, n_in: int) -> csr_array:
        """Weights of ``n_in`` samples in ``n_out`` others, of which the first is at ``place``.

        Past the ends the last sample repeats.
        """
        # Whole numbers, so that a sample is the same in whatever stretch it is read.
        scale = lcm(place.denominator, self._step.denominator)
        first, stride = int(place * scale), int(self._step * scale)
        kind = np.int64 if abs(first) + stride * n_out < 2**62 else object
        places = first + stride * np.arange(n_out, dtype=kind)
        nearest, rest = places // scale, places % scale
        n = min(n_out, self._step.denominator)  # places between two samples repeat after that
        reach = ceil(self._reach)
        taps = np.arange(-reach, reach + 2)
        values = self._kernel(taps - (rest[:n] / scale).astype(float)[:, None])
        columns = nearest.astype(np.int64)[:, None] + taps
        np.clip(columns, 0, n_in - 1, out=columns)
        rows = np.arange(n_out + 1) * len(taps)
        values = values[np.arange(n_out) % n]
        return csr_array((values.ravel(), columns.ravel(), rows), shape=(n_out, n_in))

    def _kernel(self, distance: np.ndarray) -> np.ndarray:
        """A sinc under a Kaiser window at distances in samples; each row sums to one."""
        inside = np.maximum(0, 1 - (distance / float(self._reach)) ** 2)
        values = np.sinc(distance * self._cutoff) * i0(KAISER * np.sqrt(inside)) * (inside > 0)
        return values / values.sum(axis=1, keepdims=True)
