"""Recordings drawn at random: what they hold is known as functions of time.

Every channel is a constant and a few sines below 20 Hz, so that its value at any second is known
without a reader or a resampler; samples are those values, rounded by whoever writes the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from hms_pipeline.schema import EEG_COLUMNS, EKG, ELECTRODES

LATER = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
STYLES = {
    "plain": "{}", "prefix": "EEG {}", "reference": "EEG {}-REF", "ear": "{}-LE", "lower": "{}",
    "polygraph": "POL {}",
}  # fmt: skip
NO_EEG = ("SpO2", "Resp", "PHOTIC", "DC01", "EMG left", "A1-LE", "Status")
TEXTS = ("eyes open", "Augen geöffnet", "目を開く", "seizure?", "comma, \\1; = [x]")


@dataclass
class Drawn:
    """A recording that is to be written.

    Parameters
    ----------
    columns : tuple of str
        Of ``schema.EEG_COLUMNS``, in the file's order; "" is a channel that is no EEG.
    labels : tuple of str
        What the file calls them.
    sfreq : Fraction
    n_times : int
        Samples that the file holds.
    pauses : tuple of (int, Fraction)
        Samples before a pause, and its seconds.
    seed : int
        Of the signals.
    step_uv : float
        Distance of two neighbouring values in the file, where it stores integers.
    unit : str
    marks : tuple of (float, str)
        Annotations: seconds of samples, text.
    choice : dict
        What else the format lets one choose.
    """

    columns: tuple[str, ...]
    labels: tuple[str, ...]
    sfreq: Fraction
    n_times: int
    pauses: tuple[tuple[int, Fraction], ...]
    seed: int
    unit: str
    constant_uv: float
    marks: tuple[tuple[float, str], ...]
    choice: dict[str, object] = field(default_factory=dict)

    def values(self, times_s: np.ndarray) -> np.ndarray:
        """Microvolts of every channel at seconds of the recording's clock."""
        rng = np.random.default_rng(self.seed)
        n = len(self.columns)
        hz = rng.uniform(0.5, 18, (n, 4, 1))
        height = rng.uniform(5, 40, (n, 4, 1))
        phase = rng.uniform(0, 2 * np.pi, (n, 4, 1))
        constant = rng.uniform(-1, 1, (n, 1)) * self.constant_uv
        waves = height * np.sin(2 * np.pi * hz * times_s + phase)
        return constant + waves.sum(axis=1)

    @property
    def samples(self) -> np.ndarray:
        """Microvolts of every channel in the file, shape (n_channels, n_times)."""
        return self.values(self.clock_s)

    @property
    def clock_s(self) -> np.ndarray:
        """When every sample was recorded."""
        times = np.arange(self.n_times) / float(self.sfreq)
        for place, pause in self.pauses:
            times[place:] += float(pause)
        return times

    @property
    def end_s(self) -> Fraction:
        """From start to end, pauses included."""
        return self.n_times / self.sfreq + sum((pause for _, pause in self.pauses), Fraction(0))


def label(column: str, style: str, later: bool) -> str:
    """A column's name as a hospital might write it."""
    if column == EKG:
        return {"plain": "EKG", "lower": "ecg"}.get(style, "ECG EKG-REF")
    name = LATER.get(column, column) if later else column
    text = STYLES[style].format(name)
    return text.lower() if style == "lower" else text.upper() if style == "reference" else text


@st.composite
def recordings(
    draw: st.DrawFn,
    rates: st.SearchStrategy[Fraction],
    units: tuple[str, ...] = ("uV",),
    pauses: bool = False,
    extra: int = 3,
    grid_of: Callable[[Fraction], Fraction] = lambda sfreq: 1 / sfreq,
) -> Drawn:
    """Draw one recording.

    Parameters
    ----------
    rates : strategy of Fraction
    units : tuple of str
    pauses : bool
        Whether the format can tell of pauses.
    extra : int
        Channels that are no EEG, at most.
    grid_of : callable
        Rate → seconds of whose multiples length and pauses are.
    """
    sfreq = draw(rates)
    absent = draw(st.sets(st.sampled_from(ELECTRODES), max_size=3))
    present = [c for c in EEG_COLUMNS if c not in absent and (c != EKG or draw(st.booleans()))]
    columns = draw(st.permutations([*present, *[""] * draw(st.integers(0, extra))]))
    style, later = draw(st.sampled_from(list(STYLES))), draw(st.booleans())
    others = iter(draw(st.permutations(NO_EEG)))
    labels = tuple(label(c, style, later) if c else next(others) for c in columns)
    grid = grid_of(sfreq)
    n_grid = draw(st.integers(int(Fraction(3) / grid) + 1, int(Fraction(12) / grid) + 1))
    n_times = int(n_grid * grid * sfreq)
    places = []
    if pauses:
        places = draw(st.lists(st.integers(1, n_grid - 1), max_size=3, unique=True))
    lengths = [draw(st.fractions(Fraction(1, 8), 900, max_denominator=8)) for _ in places]
    marks = draw(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(TEXTS)), max_size=3))
    return Drawn(
        columns=tuple(columns),
        labels=labels,
        sfreq=sfreq,
        n_times=n_times,
        pauses=tuple(
            (int(place * grid * sfreq), length)
            for place, length in zip(sorted(places), lengths, strict=True)
        ),
        seed=draw(st.integers(0, 2**32 - 1)),
        unit=draw(st.sampled_from(units)),
        constant_uv=draw(st.sampled_from((0.0, 20.0, 500.0, 5000.0))),
        marks=tuple(marks),
        choice={"seed": draw(st.integers(0, 2**32 - 1))},
    )
