"""What we read of a drawn recording, held against what was drawn."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hms_pipeline.data.clinical import open_source, read_clinical
from hms_pipeline.schema import EEG_COLUMNS, ELECTRODES

from .drawn import Drawn

RESAMPLED = 1e-4  # of the amplitude: what resampling may change below 20 Hz
END_S = 0.3  # of the samples near an end or a pause, which resampling knows from one side only


@dataclass(frozen=True)
class Difference:
    """The largest differences in one file.

    Parameters
    ----------
    at_own_rate_uv, at_200_hz_uv : float
    allowed_uv : float
        What the writer's rounding may change.
    """

    at_own_rate_uv: float
    at_200_hz_uv: float
    allowed_uv: float


def compare(path: Path, drawn: Drawn, allowed_uv: float) -> Difference:
    """Read a file whole, in blocks and from the middle, and assert that it is what was drawn."""
    own = _own_rate(path, drawn, allowed_uv)
    recording = read_clinical(path)
    assert recording.n_times == int(drawn.end_s * 200)
    missing = [c for c in ELECTRODES if c not in drawn.columns]
    assert recording.interpolated == tuple(missing)
    assert recording.sfreq == np.float32(drawn.sfreq) or recording.sfreq == float(drawn.sfreq)
    whole = recording.eeg
    rng = np.random.default_rng(drawn.seed)
    step = int(recording.n_times * rng.uniform(0.03, 0.4))
    edges = [*range(0, recording.n_times, step), recording.n_times]
    blocks = np.hstack([recording.read(a, b) for a, b in itertools.pairwise(edges)])
    # What is interpolated is a sum, whose last bit the length of a block may change.
    np.testing.assert_allclose(blocks, whole, rtol=3e-7, atol=1e-6)
    a, b = sorted(rng.integers(0, recording.n_times + 1, 2))
    np.testing.assert_allclose(recording.read(a, b), whole[:, a:b], rtol=3e-7, atol=1e-6)
    _pauses(recording.pauses, whole, drawn)
    return Difference(own, _at_200_hz(whole, drawn, allowed_uv), allowed_uv)


def _own_rate(path: Path, drawn: Drawn, allowed_uv: float) -> float:
    """Samples at the file's own rate: as good as they were written, in any stretch."""
    source = open_source(path)
    by_label = {channel.label: k for k, channel in enumerate(source.channels)}
    rows = [k for k, column in enumerate(drawn.columns) if column]
    picks = [by_label[drawn.labels[k]] for k in rows]
    expected, worst = drawn.samples[rows], 0.0
    starts = [float(s.start * drawn.sfreq) for s in source.segments]
    rng, n = np.random.default_rng(drawn.seed), drawn.n_times
    stretches = [sorted(rng.integers(0, n + 1, 2)) for _ in range(3)]
    # Samples are counted as the file stores them: skips of FIF are stored as zeros.
    shift = 0 if len(starts) == 1 or source.segments[1].start == source.segments[0].duration else 1
    if shift:
        return 0.0  # compared at 200 Hz, where time is what counts
    for start, stop in [(0, n), *stretches]:
        if start < stop:
            got = source.read(picks, start, stop)
            worst = max(worst, float(np.abs(got - expected[:, start:stop]).max()))
    assert worst <= allowed_uv * 1.001 + 1e-9, f"{worst} µV off, {allowed_uv} allowed"
    return worst


def _at_200_hz(whole: np.ndarray, drawn: Drawn, allowed_uv: float) -> float:
    """Samples at their exact seconds, away from ends and pauses."""
    times = np.arange(whole.shape[1]) / 200
    expected = drawn.values(times)
    inside = (times > END_S) & (times < float(drawn.end_s) - END_S)
    paused = 0.0
    for place, pause in drawn.pauses:
        first = place / float(drawn.sfreq) + paused
        paused += float(pause)
        inside &= (times < first - END_S) | (times > first + float(pause) + END_S)
    worst = 0.0
    for k, column in enumerate(drawn.columns):
        if column:
            got = whole[EEG_COLUMNS.index(column)]
            difference = np.abs(got - expected[k])[inside]
            worst = max(worst, float(difference.max(initial=0)))
    # Two neighbouring rounding errors may add up in a weighted mean; samples are single precision.
    single = np.abs(expected).max() * 2.0**-23
    assert worst <= 2.5 * allowed_uv + RESAMPLED * 160 + single, f"{worst} µV off at 200 Hz"
    return worst


def _pauses(found: tuple[tuple[int, int], ...], whole: np.ndarray, drawn: Drawn) -> None:
    """Nothing is there in pauses, and everything outside them."""
    recorded = [EEG_COLUMNS.index(c) for c in drawn.columns if c in ELECTRODES]
    clock, step = drawn.clock_s, 1 / float(drawn.sfreq)
    gaps = np.flatnonzero(np.diff(clock) > 1.5 * step)
    expected = np.zeros(whole.shape[1], bool)
    for k in gaps:
        first, last = np.ceil(np.array([clock[k] + step, clock[k + 1]]) * 200 - 1e-3).astype(int)
        expected[first:last] = True
    np.testing.assert_array_equal(np.isnan(whole[recorded]).all(axis=0), expected)
    np.testing.assert_array_equal(np.isnan(whole[recorded]).any(axis=0), expected)
    assert len(found) == len(drawn.pauses)
