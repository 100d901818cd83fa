"""Clinical recordings (EDF, BDF, GDF, BrainVision, FIF and what else MNE reads) as 20 columns.

Nothing of a header but channel labels, units, rates and times is looked at: names, dates and
numbers of patients never leave the file.

Examples
--------
>>> recording = open_clinical(Path("rec.edf"), rename={"E11": "Fz"})  # doctest: +SKIP
>>> recording.read(0, 10_000).shape  # doctest: +SKIP
(20, 10000)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..schema import EEG_COLUMNS, EKG
from ..system.errors import InputError
from .clinical_montage import Reconstruction, by_reason, reconstruct
from .clinical_names import COMMON_REFERENCE, Channel, electrode, parse_labels
from .clinical_signals import Judgement, Signals, faults, judge, n_times_of
from .content import files_of
from .formats import FORMATS, format_of
from .formats.format import Segment, Source, SourceChannel, UnavailableError, require_regular
from .resample import sample_at

CHUNK = 2**14  # samples made at once; bounds the memory
SHORTEST_PAUSE_S = Fraction(1, 20)  # shorter gaps, such as a drift of clocks leaves, are bridged
_MOST_NAMED = 20  # most pauses or labels that one sentence lists


@dataclass(frozen=True)
class ClinicalRecording:
    """A recording in the competition's columns, read piece by piece.

    Parameters
    ----------
    name : str
        The file's name, for sentences to the user; it may hold a patient's name.
    n_times : int
        Samples at 200 Hz from the recording's start to its end, pauses included.
    sfreq : float
        The EEG's rate in the file.
    available : tuple of str
        Columns of ``schema.EEG_COLUMNS`` that were recorded and are used.
    interpolated : tuple of str
        Electrodes taken from their neighbours.
    derivations : tuple of str
        Recorded scalp derivations (bipolar channels), without those against a reference.
    bipolar_only : bool
        Whether potentials were reconstructed from derivations alone; only their differences
        along the chains mean anything.
    pauses : tuple of (int, int)
        Samples between which nothing was recorded, or at which (two equal numbers) an unknown
        time passed.
    warnings : tuple of str
        What the user should know; nothing of the file's header is quoted but labels.
    source : dict
        Rate, columns, derivations and the time of day at which it starts, for a report.
    """

    name: str
    n_times: int
    sfreq: float
    available: tuple[str, ...]
    interpolated: tuple[str, ...]
    derivations: tuple[str, ...]
    bipolar_only: bool
    pauses: tuple[tuple[int, int], ...]
    warnings: tuple[str, ...]
    source: dict[str, Any]
    _signals: Signals
    _matrix: np.ndarray

    @property
    def eeg(self) -> np.ndarray:
        """The whole recording, shape (20, n_times), float32 µV; for short ones."""
        return self.read(0, self.n_times)

    def read(self, start: int, stop: int) -> np.ndarray:
        """A stretch at 200 Hz.

        Parameters
        ----------
        start, stop : int
            Samples; what lies outside the recording or in a pause is NaN.

        Returns
        -------
        ndarray, shape (20, stop - start), float32
            Microvolts; NaN where a column was not recorded.

        Raises
        ------
        InputError
            The stretch is unreadable.
        """
        out = np.full((len(EEG_COLUMNS), stop - start), np.nan, dtype=np.float32)
        end = min(stop, self.n_times)
        for a in range(max(start, 0), end, CHUNK):
            b = min(a + CHUNK, end)
            out[:, a - start : b - start] = _combined(self._matrix, self._signals.read(a, b))
        return out


def read_clinical(path: Path, rename: Mapping[str, str] | None = None) -> ClinicalRecording:
    """Open a clinical recording with the usual limits; ``.eeg`` is its whole signal."""
    return open_clinical(path, rename)


def open_clinical(
    path: Path,
    rename: Mapping[str, str] | None = None,
    *,
    max_interpolated: int = 3,
    max_disagreement: float = 0.2,
    amplitude_uv: tuple[float, float] = (0.5, 2000.0),
) -> ClinicalRecording:
    """Open a clinical recording and find the 20 columns in it.

    Parameters
    ----------
    path : Path
        A file (or folder) of one of ``formats.FORMATS``.
    rename : mapping of str to str, optional
        The file's label → an electrode, ``EKG`` or a derivation.
    max_interpolated, max_disagreement, amplitude_uv
        See ``config.scoring.ScoringParams``.

    Raises
    ------
    InputError
        The file is unreadable, its channels do not allow the montage, it is flat, or its amplitude
        cannot be microvolts. What reads it later raises the same where the rest is unreadable.
    UnavailableError
        A package that reads it is not installed, or the disk does not answer.
    """
    path = Path(path)
    source = open_source(path)
    labels = [channel.label for channel in source.channels]
    read = parse_labels(labels, rename)
    parsed = dict(enumerate(map(_referenced, read, _references(source.channels, read))))
    used = {pick: channel for pick, channel in parsed.items() if channel is not None}
    n_times = n_times_of(source, path.name)
    used, judgement, left_out = _usable(source, used)
    channels = list(used.values())
    others = [label for pick, label in enumerate(labels) if parsed[pick] is None]
    montage = reconstruct(channels, path.name, max_interpolated, left_out, others)
    _check_amplitude(judgement, channels, path.name, amplitude_uv)
    pauses, said = _pauses(source.segments)
    facts: dict[str, Any] = {
        "sfreq": float(_rate(source, used)),
        "available": tuple(
            c for c in EEG_COLUMNS if c in {end for ch in channels for end in (ch.plus, ch.minus)}
        ),
        "interpolated": montage.interpolated,
        "derivations": tuple(c.label for c in channels if c.plus != EKG and c.is_derivation),
        "bipolar_only": montage.bipolar_only,
    }
    return ClinicalRecording(
        name=path.name,
        n_times=n_times,
        **facts,
        source=facts | {"start_of_day_s": source.start_of_day_s},
        pauses=pauses,
        warnings=(
            *(f"Left out {text}." for text in by_reason(left_out)),
            *montage.warnings,
            *_unit_remarks(source, used),
            *_loop_remarks(judgement, montage, max_disagreement),
            *said,
            *source.remarks,
        ),
        _signals=Signals(source, list(used)),
        _matrix=montage.matrix,
    )


def open_source(path: Path) -> Source:
    """Open a file as it is, by the format of its ending.

    Raises
    ------
    InputError
        The ending is of no format, a file is no regular one, or it cannot be read.
    """
    found = format_of(path)
    if found is None:
        endings = sorted(e for form in FORMATS.values() for e in form.endings)
        raise InputError(
            f"A recording needs an ending of a known format, but {path.name} has none. Choose one"
            f" of {endings}."
        )
    if not path.exists():
        raise UnavailableError(f"File {path.name} does not exist. Correct its path.")
    for file in files_of(path):
        require_regular(file)
    source = found.open(path)
    if not source.channels:
        raise InputError(
            f"A recording needs EEG channels, but {path.name} has none. Give the file with the EEG."
        )
    return replace(source, channels=_numbered(source.channels))


def _numbered(channels: Sequence[SourceChannel]) -> tuple[SourceChannel, ...]:
    """Channels whose labels differ: a repeated ``T8-P8`` becomes ``T8-P8-0``, ``T8-P8-1``."""
    times = Counter(channel.label for channel in channels)
    numbers = {label: count() for label, n in times.items() if n > 1}
    return tuple(
        replace(c, label=f"{c.label}-{next(numbers[c.label])}") if c.label in numbers else c
        for c in channels
    )


def _references(stated: Sequence[SourceChannel], read: Sequence[Channel | None]) -> list[str]:
    """References that the header names for single channels; one that all share does not count."""
    electrodes = [c is not None and c.plus != EKG for c in read]
    found = {c.reference for c, wanted in zip(stated, electrodes, strict=True) if wanted}
    return ["" if len(found) == 1 else channel.reference for channel in stated]


def _referenced(channel: Channel | None, reference: str) -> Channel | None:
    """What a label says, with the reference that the header names where the label does not."""
    if channel is None or channel.plus == EKG or not reference:
        return channel
    if channel.minus != COMMON_REFERENCE:
        return channel
    return replace(channel, minus=electrode(reference) or reference.upper())


Used = dict[int, Channel]  # place in the source's channels → what its label says
LeftOut = list[tuple[str, str]]  # label and reason


def _usable(source: Source, used: Used) -> tuple[Used, Judgement, LeftOut]:
    """Channels that hold signals, what they look like, and those that do not."""
    wrong = faults(source, list(used))
    sound = [pick for pick in used if pick not in wrong]
    judgement = judge(Signals(source, sound), source) if sound else Judgement.empty()
    odd = judgement.implausible([used[pick] for pick in sound])
    wrong |= {sound[row]: reason for row, reason in odd.items()}
    kept = [row for row in range(len(sound)) if row not in odd]
    left_out = [(used[pick].label, wrong[pick]) for pick in used if pick in wrong]
    return {sound[row]: used[sound[row]] for row in kept}, judgement.of(kept), left_out


def _rate(source: Source, used: Used) -> Fraction:
    return next(source.channels[pick].sfreq for pick, c in used.items() if c.plus != EKG)


def _combined(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``matrix @ values``, where a missing value matters only to rows that it is part of."""
    missing = ~np.isfinite(values)
    if not missing.any():
        return matrix @ values
    out = matrix @ np.where(missing, 0.0, values)
    out[(np.nan_to_num(matrix) != 0).astype(float) @ missing > 0] = np.nan
    return out


def _pauses(segments: Sequence[Segment]) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Pauses in samples at 200 Hz, and what to say of them."""
    gaps = [(before.end, after.onset) for before, after in pairwise(segments)]
    known = [(a, b) for a, b in gaps if b - a >= SHORTEST_PAUSE_S]
    unknown = [a for a, b in gaps if a == b]
    said = []
    if known:
        places = ", ".join(
            f"{float(b - a):.6g} s at {float(a):.6g} s" for a, b in known[:_MOST_NAMED]
        )
        total = float(sum(b - a for a, b in known))
        said.append(f"Pauses of {total:.6g} s in all: {places}.")
    if unknown:
        places = ", ".join(f"{float(a):.6g} s" for a in unknown[:_MOST_NAMED])
        said.append(
            f"Pauses of unknown length at {places}; times after them count what was recorded only."
        )
    places = sorted([*known, *((a, a) for a in unknown)])
    return tuple((sample_at(a), sample_at(b)) for a, b in places), tuple(said)


def _check_amplitude(
    judgement: Judgement, channels: Sequence[Channel], name: str, limits: tuple[float, float]
) -> None:
    typical = judgement.typical_uv([k for k, c in enumerate(channels) if c.plus != EKG])
    if np.isnan(typical):
        raise InputError(
            f"EEG must vary over time, but {name} is flat in every stretch that was looked at."
            " Give a recording with electrodes connected."
        )
    low, high = limits
    if not low <= typical <= high:
        raise InputError(
            f"EEG must be in microvolts, typically {low:g} to {high:g}, but {name} is typically"
            f" {typical:.3g}. Correct the units in the file."
        )


def _unit_remarks(source: Source, used: Used) -> tuple[str, ...]:
    unknown = [source.channels[pick].label for pick in used if not source.channels[pick].has_unit]
    if not unknown:
        return ()
    return (f"Channels {unknown[:_MOST_NAMED]} state no unit of voltage; taken as microvolts.",)


def _loop_remarks(judgement: Judgement, montage: Reconstruction, limit: float) -> tuple[str, ...]:
    power = np.trace(judgement.products)
    misfit = np.trace(montage.residual @ judgement.products @ montage.residual.T)
    disagreement = (misfit / power) ** 0.5 if power > 0 else 0.0
    if disagreement <= limit:
        return ()
    return (
        f"Derivations around a loop disagree by {disagreement:.0%} of their amplitude;"
        " one of them may be mislabelled or disconnected.",
    )
