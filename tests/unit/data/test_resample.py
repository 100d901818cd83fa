"""Resampling: exact times, no aliases, no trace of a constant, whatever stretch is read."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from hms_pipeline.data.formats.format import Segment, joined
from hms_pipeline.data.resample import KAISER, Resampler

from ...recordings import noise

RATES = [
    "123.456789012345",
    "128",
    "250",
    "256",
    "500",
    "512",
    "1000",
    "199.8",
    "199.98",
    "333.333",
    "200",
]


def resampler(x: np.ndarray, sfreq: str | Fraction, segments=None) -> Resampler:
    rate = Fraction(sfreq)
    return Resampler(lambda a, b: x[:, a:b], segments or joined(x.shape[1] / rate, ()), rate)


def read(found: Resampler, start: int, stop: int, n_channels: int = 1) -> np.ndarray:
    out = np.full((n_channels, stop - start), np.nan)
    for first, values in found.read(start, stop):
        out[:, first - start : first - start + values.shape[1]] = values
    return out


@pytest.mark.parametrize("sfreq", RATES)
def test_blocks_equal_the_whole(sfreq: str) -> None:
    eeg = noise(2, seconds=9, sfreq=float(sfreq))
    found = resampler(eeg, sfreq)
    edges = [0, 1, 333, 334, 1200, 1790]
    blocks = np.hstack([read(found, a, b, 2) for a, b in pairwise(edges)])
    np.testing.assert_array_equal(blocks, read(found, 0, 1790, 2))


@given(
    sfreq=st.decimals(80, 2000, places=3).map(Fraction),
    onset=st.fractions(0, 2, max_denominator=1000),
    hz=st.floats(0.1, 20),
)
@settings(max_examples=60, deadline=None)
def test_samples_lie_at_their_exact_times(sfreq: Fraction, onset: Fraction, hz: float) -> None:
    """A slow sine comes back at its own times, whatever the rate and the segment's onset."""
    n = int(4 * sfreq)
    times = float(onset) + np.arange(n) / float(sfreq)
    x = 100 * np.sin(2 * np.pi * hz * times)[None]
    found = resampler(x, sfreq, [Segment(onset, Fraction(0), n / sfreq)])
    first = int(onset * 200) + 60  # ends are another matter
    ours = read(found, first, first + 500)[0]
    theirs = 100 * np.sin(2 * np.pi * hz * np.arange(first, first + 500) / 200)
    np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_resampling_agrees_with_scipy_and_stops_aliases() -> None:
    eeg = noise(1, seconds=10, sfreq=512)
    theirs = resample_poly(eeg, 25, 64, axis=1, window=("kaiser", KAISER))
    middle = slice(200, 1800)
    ours = read(resampler(eeg, "512"), 0, 2000)
    np.testing.assert_allclose(ours[:, middle], theirs[:, middle], atol=2e-3)
    tone = np.sin(2 * np.pi * 190 * np.arange(5120) / 512)[None]  # would fold to 10 Hz
    assert np.abs(read(resampler(tone, "512"), 200, 1800)).max() < 2e-3


@pytest.mark.parametrize("sfreq", RATES)
@pytest.mark.parametrize("constant", [1e4, -1e5])
def test_a_constant_leaves_nothing_but_itself(sfreq: str, constant: float) -> None:
    eeg = noise(1, seconds=9, sfreq=float(sfreq))
    plain, moved = (read(resampler(x, sfreq), 0, 1790) for x in (eeg, eeg + constant))
    np.testing.assert_allclose(moved - constant, plain, atol=1e-8)


def test_no_drift_over_a_day() -> None:
    """199.98 Hz for 24 h: the last sample is where it was recorded, not 8.6 s earlier."""
    rate = Fraction("199.98")
    n = int(24 * 3600 * rate)
    ramp = Resampler(lambda a, b: np.arange(a, b)[None] / float(rate), joined(n / rate, ()), rate)
    last = int(n / rate * 200)
    assert last == 24 * 3600 * 200
    found = read(ramp, last - 400, last - 100)[0]
    np.testing.assert_allclose(found, np.arange(last - 400, last - 100) / 200, atol=1e-6)


def test_segments_are_read_apart() -> None:
    """What is before a pause does not leak into what is behind it."""
    x = np.concatenate([np.full(1000, 7.0), np.full(1000, -3.0)])[None]
    pause = [(Fraction(1000, 250), Fraction(5))]
    found = resampler(x, "250", joined(Fraction(2000, 250), pause))
    values = read(found, 0, 13 * 200)[0]
    assert np.isnan(values[800:1800]).all()
    np.testing.assert_allclose(values[:800], 7)
    np.testing.assert_allclose(values[1800:], -3)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    gaps=st.lists(st.fractions(0, 1, max_denominator=300), min_size=12, max_size=12),
    sfreq=st.sampled_from(RATES),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_segments_are_read_as_if_each_stood_alone(sizes, gaps, sfreq, data) -> None:
    rate = Fraction(sfreq)
    starts = [Fraction(n) / rate for n in accumulate(sizes, initial=0)]
    pauses = [Fraction(0), *accumulate(gaps)]
    segments = [
        Segment(a + pause, a, b - a)
        for (a, b), pause in zip(pairwise(starts), pauses, strict=False)
    ]
    x = noise(1, seconds=10, sfreq=float(rate))
    end = int(segments[-1].end * 200) + 3
    start = data.draw(st.integers(-3, end))
    stop = data.draw(st.integers(start, end + 3))
    alone = [part for s in segments for part in resampler(x, rate, [s]).read(start, stop)]
    found = resampler(x, rate, segments).read(start, stop)
    assert [first for first, _ in found] == [first for first, _ in alone]
    for (_, ours), (_, expected) in zip(found, alone, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_reading_does_not_look_at_every_segment(monkeypatch) -> None:
    """Recordings have ten thousand of them, and are read in blocks."""
    calls = []
    monkeypatch.setattr(
        "hms_pipeline.data.resample.sample_at", lambda t: calls.append(t) or int(t * 200)
    )
    segments = [Segment(Fraction(3 * n), Fraction(n), Fraction(1)) for n in range(100)]
    found = resampler(noise(1, seconds=100), 200, segments)
    assert len(calls) == 200
    assert [first for first, _ in found.read(3000, 4300)] == [3000, 3600, 4200]
    assert len(calls) == 200
