"""Who is recorded, when, and what the experts said: tables, before any signal is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..schema import CLASS_LABELS, CLASSES, SPECTROGRAM_S, TRAIN_COLUMNS, WINDOW_S
from ..system.errors import InputError
from .course import Moment
from .latent import Latent, draw_latent, drift_latent
from .raters import draw_total, draw_votes

AMBIGUOUS = {False: 0.44, True: 0.98}  # share near a boundary, by "read by many"
GAPS_S = {2: 0.25, 4: 0.45, 6: 0.15, 8: 0.10, 12: 0.05}  # between windows with the same votes
GOLDEN = (5**0.5 - 1) / 2
TEST_PATIENT = 1_000_000  # patients from this number on are the test set's


@dataclass(frozen=True)
class Proportions:
    """How many of what a training set is made of, each count with its probability.

    Parameters
    ----------
    low_shares, high_shares : tuple of float
        Share of EEGs by the class that most experts vote for, in the order of
        ``schema.CLASSES``, of those read by few and by many.
    many_votes : float
        Share of EEGs that ten experts or more read.
    sessions : dict
        Spectrograms per patient.
    eegs : dict
        EEGs per spectrogram.
    rows : dict
        Windows per EEG.
    new_votes : dict
        Probability that the next window is read anew, by "read by many".
    """

    low_shares: tuple[float, ...]
    high_shares: tuple[float, ...]
    many_votes: float
    sessions: dict[int, float]
    eegs: dict[int, float]
    rows: dict[int, float]
    new_votes: dict[bool, float]


PROPORTIONS = {
    # A small set has all six classes on both sides and enough windows to learn from.
    "even": Proportions(
        low_shares=(0.32, 0.13, 0.15, 0.15, 0.18, 0.07),
        high_shares=(0.03, 0.16, 0.15, 0.15, 0.17, 0.34),
        many_votes=0.385,
        sessions={1: 0.72, 2: 0.16, 3: 0.06, 4: 0.03, 6: 0.02, 8: 0.01},
        eegs={1: 0.68, 2: 0.22, 3: 0.07, 5: 0.03},
        rows={1: 0.23, 2: 0.20, 3: 0.24, 4: 0.15, 5: 0.09, 6: 0.05, 8: 0.03, 12: 0.01},
        new_votes={False: 0.42, True: 0.58},
    ),
    # 1,950 patients have about 11,100 spectrograms, 17,100 EEGs, 100,000 rows, 20,200 windows.
    "competition": Proportions(
        low_shares=(0.32, 0.12, 0.11, 0.09, 0.20, 0.16),
        high_shares=(0.01, 0.11, 0.09, 0.09, 0.13, 0.57),
        many_votes=0.345,
        sessions={
            1: 0.374, 2: 0.17, 3: 0.11, 4: 0.08, 6: 0.09, 10: 0.07, 16: 0.055, 30: 0.032,
            60: 0.014, 120: 0.005,
        },
        eegs={1: 0.66, 2: 0.22, 3: 0.08, 5: 0.04},
        rows={
            1: 0.21, 2: 0.17, 3: 0.21, 4: 0.13, 6: 0.10, 8: 0.07, 12: 0.05, 20: 0.03, 40: 0.015,
            80: 0.015,
        },
        new_votes={False: 0.054, True: 0.018},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class WindowPlan:
    """One row of train.csv: offset in its EEG, label and votes."""

    offset_s: int
    label_id: int
    votes: tuple[int, ...]


@dataclass(frozen=True)
class EegPlan:
    """One EEG file, and where the spectrogram of its first window starts in its session."""

    eeg_id: int
    spectrogram_offset_s: int
    duration_s: int
    windows: tuple[WindowPlan, ...]

    @property
    def start_s(self) -> float:
        """Where the EEG starts in its session: its window has the spectrogram's centre."""
        return self.spectrogram_offset_s + (SPECTROGRAM_S - WINDOW_S) / 2


@dataclass(frozen=True)
class SessionPlan:
    """One continuous stretch of a patient: one spectrogram file and the EEGs within it."""

    patient: int
    session: int
    patient_id: int
    spectrogram_id: int
    duration_s: int
    moments: tuple[Moment, ...]
    eegs: tuple[EegPlan, ...]


def plan_train(seed: int, patients: int, proportions: str = "even") -> list[SessionPlan]:
    """Sessions of the training set; more patients leave the first ones as they are.

    Parameters
    ----------
    seed : int
    patients : int
    proportions : str
        A key of ``PROPORTIONS``.
    """
    planner = _Planner(_proportions(proportions), seed)
    return [session for patient in range(patients) for session in planner.patient(seed, patient)]


def plan_test(
    seed: int, windows: int, train: Iterable[SessionPlan], proportions: str = "even"
) -> list[SessionPlan]:
    """Sessions of the test set: one window each, of other patients, read by many.

    Parameters
    ----------
    seed : int
    windows : int
    train : iterable of SessionPlan
        The training set, none of whose ids is given again.
    proportions : str
        A key of ``PROPORTIONS``.
    """
    planner = _Planner(_proportions(proportions), seed + 1)
    planner.taken |= {number for session in train for number in _ids(session)}
    sessions = []
    for number in range(windows):
        patient = TEST_PATIENT + number
        rng = np.random.default_rng([seed, patient])
        name, _ = next(planner.cells)
        latent = draw_latent(rng, name, rng.random() < AMBIGUOUS[True])
        votes = draw_votes(rng, latent, draw_total(rng, many=True))
        window = WindowPlan(0, planner.new_id(rng), votes)
        eeg = EegPlan(planner.new_id(rng), 0, int(WINDOW_S), (window,))
        moment = Moment(SPECTROGRAM_S / 2, latent)
        ids = planner.new_id(rng, 65_536), planner.new_id(rng)
        sessions.append(SessionPlan(patient, 0, *ids, int(SPECTROGRAM_S), (moment,), (eeg,)))
    return sessions


def train_rows(sessions: list[SessionPlan]) -> list[dict[str, object]]:
    """Rows of train.csv, keys in the order of its columns."""
    rows = []
    for session in sessions:
        windows = [
            (eeg, sub, window) for eeg in session.eegs for sub, window in enumerate(eeg.windows)
        ]
        order = sorted({eeg.spectrogram_offset_s + w.offset_s for eeg, _, w in windows})
        for eeg, sub, window in windows:
            offset = eeg.spectrogram_offset_s + window.offset_s
            values = (
                eeg.eeg_id, sub, float(window.offset_s),
                session.spectrogram_id, order.index(offset), float(offset),
                window.label_id, session.patient_id,
                CLASS_LABELS[int(np.argmax(window.votes))], *window.votes,
            )  # fmt: skip
            rows.append(dict(zip(TRAIN_COLUMNS, values, strict=True)))
    return rows


def _proportions(name: str) -> Proportions:
    if name not in PROPORTIONS:
        raise InputError(
            f"A sample's proportions need to be one of {sorted(PROPORTIONS)}, but {name!r} was"
            " given. Choose one of them."
        )
    return PROPORTIONS[name]


def _ids(session: SessionPlan) -> Iterator[int]:
    yield from (session.patient_id, session.spectrogram_id)
    for eeg in session.eegs:
        yield eeg.eeg_id
        yield from (window.label_id for window in eeg.windows)


def _cells(seed: int, of: Proportions) -> Iterator[tuple[str, bool]]:
    """Class and "read by many" of one EEG after another, with the shares met evenly.

    A golden-ratio sequence through the cumulated shares: any run of it holds every cell about
    as often as its share says, so that small samples have all six classes on both sides.
    """
    shares = [
        share * (of.many_votes if many else 1 - of.many_votes)
        for many, row in ((False, of.low_shares), (True, of.high_shares))
        for share in row
    ]
    edges = np.cumsum(shares)
    point = np.random.default_rng([seed, 0xCE11]).random()
    while True:
        cell = min(int(np.searchsorted(edges, point, side="right")), len(shares) - 1)
        yield CLASSES[cell % len(CLASSES)], cell >= len(CLASSES)
        point = (point + GOLDEN) % 1.0


class _Planner:
    """Plans patients one after the other; no two items get one id."""

    def __init__(self, of: Proportions, seed: int) -> None:
        self.of = of
        self.cells = _cells(seed, of)
        self.taken: set[int] = set()

    def new_id(self, rng: np.random.Generator, below: int = 2**32) -> int:
        """A random id that no other item of the sample has."""
        while (number := int(rng.integers(1, below))) in self.taken:
            pass
        self.taken.add(number)
        return number

    def patient(self, seed: int, patient: int) -> Iterator[SessionPlan]:
        """Sessions of one patient."""
        rng = np.random.default_rng([seed, patient])
        patient_id = self.new_id(rng, 65_536)
        usual = None
        for number in range(_choose(rng, self.of.sessions)):
            name, many = next(self.cells)
            if usual is not None and rng.random() < 0.4:
                name = usual
            usual = usual or name
            yield self._session(rng, (patient, number, patient_id), name, many)

    def _session(
        self, rng: np.random.Generator, key: tuple[int, int, int], name: str, many: bool
    ) -> SessionPlan:
        spectrogram_id = self.new_id(rng)
        eegs: list[EegPlan] = []
        moments: list[Moment] = []
        offset = 0
        for number in range(_choose(rng, self.of.eegs)):
            if number and rng.random() < 0.5:
                name, many = next(self.cells)
            eeg, shown = self._eeg(rng, name, many, offset)
            eegs.append(eeg)
            moments += shown
            offset += eeg.windows[-1].offset_s + 2 * int(rng.integers(10, 40))
        last = eegs[-1]
        duration = last.spectrogram_offset_s + last.windows[-1].offset_s + int(SPECTROGRAM_S)
        return SessionPlan(*key, spectrogram_id, duration, tuple(moments), tuple(eegs))

    def _eeg(
        self, rng: np.random.Generator, name: str, many: bool, spectrogram_offset_s: int
    ) -> tuple[EegPlan, list[Moment]]:
        """Windows of one EEG, in runs that share their votes; a moment for every run."""
        eeg_id = self.new_id(rng)
        ambiguous = bool(rng.random() < AMBIGUOUS[many] * (0.85 if name == "other" else 1.0))
        latent = draw_latent(rng, name, ambiguous)
        votes = draw_votes(rng, latent, draw_total(rng, many))
        runs: list[tuple[Latent, list[int]]] = [(latent, [])]
        windows: list[WindowPlan] = []
        offset = 0
        for number in range(_choose(rng, self.of.rows)):
            if number and rng.random() < self.of.new_votes[many]:
                changed = drift_latent(rng, latent, ambiguous)
                offset += (
                    _choose(rng, GAPS_S) if changed == latent else 2 * int(rng.integers(3, 15))
                )
                latent = changed
                votes = draw_votes(rng, latent, draw_total(rng, many))
                runs.append((latent, []))
            elif number:
                offset += _choose(rng, GAPS_S)
            windows.append(WindowPlan(offset, self.new_id(rng), votes))
            runs[-1][1].append(offset)
        tail = int(rng.integers(0, 30)) if rng.random() < 0.3 else 0
        duration = offset + int(WINDOW_S) + tail
        centre = spectrogram_offset_s + SPECTROGRAM_S / 2
        moments = [Moment(centre + float(np.mean(offsets)), latent) for latent, offsets in runs]
        return EegPlan(eeg_id, spectrogram_offset_s, duration, tuple(windows)), moments


def _choose(rng: np.random.Generator, weights: dict[int, float]) -> int:
    return int(rng.choice(list(weights), p=list(weights.values())))
