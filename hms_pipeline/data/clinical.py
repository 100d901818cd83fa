"""Clinical recordings (EDF, BDF, BrainVision, FIF and whatever else MNE reads) as 20 columns.

Nothing of a header but channel labels, units and rates is looked at: names, dates and numbers of
patients never leave the file.

Examples
--------
>>> recording = open_clinical(Path("rec.edf"), rename={"E11": "Fz"})  # doctest: +SKIP
>>> recording.read(0, 10_000).shape  # doctest: +SKIP
(20, 10000)
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..schema import EEG_COLUMNS, EKG, SFREQ
from ..system.errors import InputError
from .clinical_montage import Reconstruction, reconstruct
from .clinical_names import Channel, parse_labels
from .clinical_resample import Resampler

log = logging.getLogger(__name__)

_TYPES = ("eeg", "ecg", "bio", "misc")  # MNE's channel types that may hold EEG or EKG
_UNITS = {"µV": 1e-6, "uV": 1e-6, "mV": 1e-3, "V": 1.0, "nV": 1e-9}  # in volts
# A recording's amplitude and loops are judged by so many stretches, spread over all of it.
_CHECKED, _CHECKED_S = 60, 5.0
# MNE's sentence where a reader lacks a package, and how to install that.
_LACKING = re.compile(r"module (\S+) is needed, but it could not be .*?pip install (\S+)", re.S)


class PassingError(InputError):
    """A recording was not read for a reason outside it, so another time it may be.

    A package is not installed, the file is not there, or its disk does not answer.
    """


@dataclass(frozen=True)
class ClinicalRecording:
    """A recording in the competition's columns, read piece by piece.

    Parameters
    ----------
    name : str
        The file's name, for sentences to the user; it may hold a patient's name.
    n_times : int
        Samples at 200 Hz.
    sfreq : float
        The file's own rate.
    available : tuple of str
        Columns of ``schema.EEG_COLUMNS`` that were recorded.
    interpolated : tuple of str
        Electrodes taken from their neighbours.
    derivations : tuple of str
        Recorded scalp derivations (bipolar channels), without those against a reference.
    bipolar_only : bool
        Whether potentials were reconstructed from derivations alone; only their differences
        along the chains mean anything.
    warnings : tuple of str
        What the user should know; nothing of the file's header is quoted but labels.
    """

    name: str
    n_times: int
    sfreq: float
    available: tuple[str, ...]
    interpolated: tuple[str, ...]
    derivations: tuple[str, ...]
    bipolar_only: bool
    warnings: tuple[str, ...]
    _resampler: Resampler
    _matrix: np.ndarray

    @property
    def duration_s(self) -> float:
        return self.n_times / SFREQ

    @property
    def eeg(self) -> np.ndarray:
        """The whole recording, shape (20, n_times), float32 µV; for short ones."""
        return self.read(0, self.n_times)

    def read(self, start: int, stop: int) -> np.ndarray:
        """A stretch at 200 Hz.

        Parameters
        ----------
        start, stop : int
            Samples; what lies outside the recording is NaN.

        Returns
        -------
        ndarray, shape (20, stop - start), float32
            Microvolts; NaN where a column was not recorded.
        """
        out = np.full((len(EEG_COLUMNS), stop - start), np.nan, dtype=np.float32)
        a, b = max(start, 0), min(stop, self.n_times)
        if a < b:
            out[:, a - start : b - start] = self._matrix @ self._resampler.read(a, b)
        return out

    def blocks(self, block_s: float) -> Iterator[np.ndarray]:
        """The recording in consecutive stretches of at most ``block_s`` seconds."""
        step = int(block_s * SFREQ)
        for start in range(0, self.n_times, step):
            yield self.read(start, min(start + step, self.n_times))


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
        A file MNE reads (``.edf``, ``.bdf``, ``.vhdr``, ``.fif``, ``.set``, ...).
    rename : mapping of str to str, optional
        The file's label → an electrode, ``EKG`` or a derivation.
    max_interpolated, max_disagreement, amplitude_uv
        See ``config.scoring.ScoringParams``.

    Raises
    ------
    InputError
        The file is unreadable, its channels do not allow the montage, it is flat, or its amplitude
        cannot be microvolts. What reads it later raises the same where the rest is unreadable.
    PassingError
        MNE or a package that it needs is not installed, or the disk does not answer.
    """
    path = Path(path)
    raw, remarks = _open(path)
    labels = [raw.ch_names[i] for i in _eligible(raw)]
    parsed = parse_labels(labels, rename)
    used = [(label, c) for label, c in zip(labels, parsed, strict=True) if c is not None]
    channels = [c for _, c in used]
    montage = reconstruct(channels, path.name, max_interpolated)
    picks = [raw.ch_names.index(label) for label, _ in used]
    scale, unit_remarks = _scales(raw, [label for label, _ in used])
    read = _reader(raw, path, picks, scale)
    resampler = Resampler(read, len(raw.times), float(raw.info["sfreq"]), path.name)
    stretches = _stretches(read, len(raw.times), float(raw.info["sfreq"]))
    amplitudes, disagreement = _measure(stretches, channels, montage)
    _check_amplitude(amplitudes, path.name, amplitude_uv)
    loops = _loop_remarks(disagreement, max_disagreement)
    return ClinicalRecording(
        name=path.name,
        n_times=resampler.n_times,
        sfreq=float(raw.info["sfreq"]),
        available=tuple(
            c for c in EEG_COLUMNS if c in {end for ch in channels for end in (ch.plus, ch.minus)}
        ),
        interpolated=montage.interpolated,
        derivations=tuple(c.label for c in channels if c.plus != EKG and c.is_derivation),
        bipolar_only=montage.bipolar_only,
        warnings=(*montage.warnings, *unit_remarks, *loops, *remarks),
        _resampler=resampler,
        _matrix=montage.matrix,
    )


def _open(path: Path) -> tuple[Any, tuple[str, ...]]:
    try:
        import mne
    except ImportError:
        raise PassingError(
            f"Reading {path.name} needs MNE, which is not installed."
            " Install it with: pip install 'hms-pipeline[clinical]'."
        ) from None
    if not path.exists():
        raise PassingError(f"File {path.name} does not exist. Correct its path.")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            raw = mne.io.read_raw(path, preload=False, verbose="error")
    except Exception as err:  # readers of 30 formats raise anything on a damaged file
        raise _unreadable(path, err) from None
    # MNE's sentences may quote the header, so only what kind they are is passed on.
    texts = [str(item.message).lower() for item in caught]
    log.debug("the reader gave %d warnings", len(texts))
    short = any("number of records" in text or "truncated" in text for text in texts)
    return raw, ("The file is shorter or longer than its header says.",) if short else ()


def _reader(
    raw: Any, path: Path, picks: Sequence[int], scale: np.ndarray
) -> Callable[[int, int], np.ndarray]:
    def read(start: int, stop: int) -> np.ndarray:
        try:
            values = raw.get_data(picks=picks, start=start, stop=stop, verbose="error")
        except Exception as err:  # a file that opens may still be cut short or damaged
            raise _unreadable(path, err) from None
        return scale[:, None] * values

    return read


def _unreadable(path: Path, err: Exception) -> InputError:
    lacking = _LACKING.search(str(err)) if isinstance(err, RuntimeError) else None
    if lacking:
        return PassingError(
            f"Reading {path.name} needs the package {lacking[1]}, which is not installed."
            f" Install it with: pip install {lacking[2]}."
        )
    kind = PassingError if isinstance(err, OSError | ImportError | MemoryError) else InputError
    return kind(
        f"A recording that MNE reads is needed, but {path.name} could not be read"
        f" ({type(err).__name__}). Check that the file is whole and its ending right."
    )


def _eligible(raw: Any) -> list[int]:
    return [i for i, kind in enumerate(raw.get_channel_types()) if kind in _TYPES]


def _scales(raw: Any, labels: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    # MNE gives volts where it knows the unit and the file's numbers where it does not.
    units = {label: raw._orig_units.get(label) for label in labels}
    unknown = [label for label in labels if raw._orig_units and units[label] not in _UNITS]
    applied = _applied(raw)
    scale = np.ones(len(labels))
    for i, label in enumerate(labels):
        if label not in unknown:
            scale[i] = 1e6 * _UNITS[units[label]] / applied[label] if label in applied else 1e6
    if not unknown:
        return scale, ()
    return scale, (f"Channels {unknown[:20]} state no unit of voltage; taken as microvolts.",)


def _applied(raw: Any) -> dict[str, float]:
    # MNE's EDF and BDF readers call "uv" and "UV" µV and know "nV", but do not scale them to volts,
    # so the factor that they multiply by is looked up.
    if type(raw).__name__ not in ("RawEDF", "RawBDF"):
        return {}
    return dict(zip(raw.ch_names, raw._raw_extras[0]["units"], strict=True))


def _stretches(
    read: Callable[[int, int], np.ndarray], n_times: int, sfreq: float
) -> Iterator[np.ndarray]:
    """Stretches from the first sample to the last, at the file's rate; all of a short file."""
    length = max(1, min(n_times, round(_CHECKED_S * sfreq)))
    n_stretches = min(_CHECKED, ceil(n_times / length))
    for start in np.linspace(0, n_times - length, n_stretches).astype(int).tolist():
        try:
            stretch = read(start, start + length)
        except InputError as err:
            if start == 0 or isinstance(err, PassingError):
                raise
            continue  # whoever reads so far is told
        yield stretch


def _measure(
    stretches: Iterator[np.ndarray], channels: Sequence[Channel], montage: Reconstruction
) -> tuple[np.ndarray, float]:
    """Amplitude wherever a scalp channel moves, and the share by which loops disagree there."""
    scalp = [c.plus != EKG for c in channels]
    amplitudes, power, misfit = [np.zeros(0)], 0.0, 0.0
    for stretch in stretches:
        with np.errstate(invalid="ignore"):  # infinite samples
            low, high = np.percentile(stretch[scalp], [16, 84], axis=1)
            spread = high - low
        # Readers that resample leave rounding errors on a flat line.
        moves = np.isfinite(spread) & (spread > 1e-9 * np.maximum(abs(low), abs(high)))
        amplitudes.append(spread[moves] / 2)
        if moves.any() and np.isfinite(stretch).all():
            power += float(np.mean(np.square(stretch)))
            misfit += float(np.mean(np.square(montage.residual @ stretch)))
    return np.concatenate(amplitudes), (misfit / power) ** 0.5 if power else 0.0


def _check_amplitude(amplitudes: np.ndarray, name: str, limits: tuple[float, float]) -> None:
    if not amplitudes.size:
        raise InputError(
            f"EEG must vary over time, but {name} is flat in every stretch that was looked at."
            " Give a recording with electrodes connected."
        )
    typical = float(np.median(amplitudes))
    low, high = limits
    if not low <= typical <= high:
        raise InputError(
            f"EEG must be in microvolts, typically {low:g} to {high:g}, but {name} is typically"
            f" {typical:.3g}. Correct the units in the file."
        )


def _loop_remarks(disagreement: float, limit: float) -> tuple[str, ...]:
    if disagreement <= limit:
        return ()
    return (
        f"Derivations around a loop disagree by {disagreement:.0%} of their amplitude;"
        " one of them may be mislabelled or disconnected.",
    )
