"""Channels of a source at 200 Hz, and which of them are signals at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil

import numpy as np

from ..schema import EKG
from ..system.errors import InputError
from .clinical_names import Channel
from .formats.format import Source, UnavailableError
from .resample import RATE, Resampler, sample_at

MIN_SFREQ, MAX_SFREQ = 80, 100_000  # Hz; the views read up to 20 Hz
MAX_DAYS = 14  # longest recording, pauses included
# A recording's amplitude and loops are judged by so many stretches, spread over all of it.
_CHECKED, _CHECKED_S = 60, 5
# A channel that moves in less than this share of them is dead.
_ALIVE = 0.1
# A channel so many times larger or smaller than the typical one is on another scale. Channels next
# to their reference are small: 15 times in one recording of newborns.
_MOST_RATIO = 25.0


class Signals:
    """Channels of a source at 200 Hz, on the recording's clock.

    Parameters
    ----------
    source : Source
    picks : sequence of int
        Places in ``source.channels``; they may have several rates.
    """

    def __init__(self, source: Source, picks: Sequence[int]) -> None:
        self.n_channels = len(picks)
        self._parts: list[tuple[list[int], Resampler]] = []
        for sfreq in dict.fromkeys(source.channels[pick].sfreq for pick in picks):
            rows = [k for k, pick in enumerate(picks) if source.channels[pick].sfreq == sfreq]
            read: Callable[[int, int], np.ndarray]
            read = partial(source.read, [picks[k] for k in rows])
            self._parts.append((rows, Resampler(read, source.segments, sfreq)))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples ``start`` to ``stop``, shape (n_channels, stop - start); NaN in pauses."""
        out = np.full((self.n_channels, stop - start), np.nan)
        for rows, resampler in self._parts:
            for first, values in resampler.read(start, stop):
                out[rows, first - start : first - start + values.shape[1]] = values
        return out


def n_times_of(source: Source, name: str) -> int:
    """Samples at 200 Hz from the recording's start to its end, pauses included.

    Raises
    ------
    InputError
        The recording is longer than ``MAX_DAYS``.
    """
    end = max(segment.end for segment in source.segments)
    if end > MAX_DAYS * 86_400:
        raise InputError(
            f"A recording may last {MAX_DAYS} days with its pauses, but {name} lasts"
            f" {float(end) / 86_400:.3g} days. Correct its header, or split it."
        )
    return int(end * RATE + Fraction(1, 1_000_000))  # intervals are stated as rounded decimals


def faults(source: Source, picks: Sequence[int]) -> dict[int, str]:
    """Channels that cannot be used by what the file itself says of them, and why."""
    found = {}
    for pick in picks:
        channel = source.channels[pick]
        if channel.fault:
            found[pick] = channel.fault
        elif channel.sfreq < MIN_SFREQ:
            found[pick] = (
                f"sampled at {float(channel.sfreq):g} Hz, at least {MIN_SFREQ} Hz are needed"
            )
        elif channel.sfreq > MAX_SFREQ:
            found[pick] = (
                f"sampled at {float(channel.sfreq):g} Hz, at most {MAX_SFREQ:,} Hz can be read"
            )
    return found


@dataclass(frozen=True)
class Judgement:
    """What stretches of a recording say of its channels.

    Parameters
    ----------
    amplitude_uv : array, shape (n_channels,)
        Typical amplitude where the channel moves; NaN where it never does.
    moving : array, shape (n_channels,)
        Share of the stretches with any signal in which the channel moves.
    products : array, shape (n_channels, n_channels)
        Mean products of the channels, each stretch's means removed.
    """

    amplitude_uv: np.ndarray
    moving: np.ndarray
    products: np.ndarray

    @classmethod
    def empty(cls) -> Judgement:
        """Of no channel."""
        return cls(np.zeros(0), np.zeros(0), np.zeros((0, 0)))

    def of(self, rows: Sequence[int]) -> Judgement:
        """The same of some of the channels."""
        rows = list(rows)
        return Judgement(
            self.amplitude_uv[rows], self.moving[rows], self.products[np.ix_(rows, rows)]
        )

    def typical_uv(self, rows: Sequence[int]) -> float:
        """Median amplitude of some channels; NaN where none of them moves."""
        values = self.amplitude_uv[list(rows)]
        values = values[np.isfinite(values)]
        return float(np.median(values)) if values.size else np.nan

    def implausible(self, channels: Sequence[Channel]) -> dict[int, str]:
        """Scalp channels that are dead, or on another scale than the others, and why."""
        scalp = [k for k, channel in enumerate(channels) if channel.plus != EKG]
        typical, found = self.typical_uv(scalp), {}
        if np.isnan(typical):
            return {}  # all of them are flat, which another check reports
        for k in scalp:
            amplitude = self.amplitude_uv[k]
            if self.moving[k] < _ALIVE:
                found[k] = "flat"
            elif not typical / _MOST_RATIO <= amplitude <= typical * _MOST_RATIO:
                found[k] = f"amplitude {amplitude:.3g} µV where the others have {typical:.3g}"
        return found


def judge(signals: Signals, source: Source) -> Judgement:
    """Look at stretches from the first sample to the last; at all of a short recording."""
    amplitudes, products = [], []
    for stretch in _stretches(signals, source):
        amplitudes.append(_amplitude(stretch))
        if np.isfinite(stretch).all():
            centred = stretch - stretch.mean(axis=1, keepdims=True)
            products.append(centred @ centred.T / stretch.shape[1])
    table = np.array(amplitudes).reshape(-1, signals.n_channels)
    table = table[np.isfinite(table).any(axis=1)]  # stretches in which any channel moves
    moving = np.isfinite(table).sum(axis=0) / max(1, len(table))
    typical = [np.median(seen) if (seen := column[np.isfinite(column)]).size else np.nan
               for column in table.T]  # fmt: skip
    shape = (signals.n_channels, signals.n_channels)
    return Judgement(
        np.array(typical), moving, np.mean(products, axis=0) if products else np.zeros(shape)
    )


def _stretches(signals: Signals, source: Source) -> Iterator[np.ndarray]:
    """Stretches at 200 Hz, spread evenly over what was recorded, without pauses."""
    length = int(_CHECKED_S * RATE)
    spans = [(sample_at(segment.onset), sample_at(segment.end)) for segment in source.segments]
    recorded = sum(last - first for first, last in spans)
    n = min(_CHECKED, ceil(recorded / length))
    for place in np.linspace(0, max(0, recorded - length), n).astype(int).tolist():
        try:
            stretch = [signals.read(a, b) for a, b in _cut(spans, place, place + length)]
        except InputError as err:
            if place == 0 or isinstance(err, UnavailableError):
                raise
            continue  # reading this stretch later raises the same error
        if stretch:
            yield np.hstack(stretch)


def _cut(spans: Sequence[tuple[int, int]], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where samples ``start`` to ``stop`` of those in spans lie, when pauses are not counted."""
    before = 0
    for first, last in spans:
        a, b = max(start - before, 0), min(stop - before, last - first)
        if a < b:
            yield first + a, first + b
        before += last - first


def _amplitude(stretch: np.ndarray) -> np.ndarray:
    """Half the spread of the middle two thirds of the samples; NaN where a channel stands still."""
    with np.errstate(invalid="ignore"):  # infinite samples
        low, high = np.percentile(stretch, [16, 84], axis=1)
        spread = high - low
        # Readers that scale leave rounding errors on a flat line.
        moves = np.isfinite(spread) & (spread > 1e-9 * np.maximum(abs(low), abs(high)))
    return np.where(moves, spread / 2, np.nan)
