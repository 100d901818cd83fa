"""A recording's clock and its annotations, and the clock's times in seconds from its start."""

from __future__ import annotations

import re
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from io import StringIO
from pathlib import Path
from typing import Any

from ...system.errors import InputError
from ..formats.edf import first_stamp_s

UTC_FORMATS = (".fif", ".fif.gz", ".mff")  # their headers state UTC; other headers the local time
_DAY_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?")
_MARKER_TYPE = re.compile(r"^(?:Comment|Stimulus|Response|Marker|Event)/", re.IGNORECASE)
# Of the file's own seconds and those of the recording, from which on it paused.
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Clock:
    """What a header says of time.

    Parameters
    ----------
    start : datetime or None
        When the recording began, by the header's clock; without a zone.
    zone : tzinfo or None
        The zone of that clock; None if it is not known.
    labels_zone : tzinfo or None
        The zone of labels that state none; None: the same, unknown zone as the header's clock.
    """

    start: datetime | None
    zone: tzinfo | None
    labels_zone: tzinfo | None

    def seconds(self, onset: str) -> float:
        """Seconds from the recording's start to a clock's time.

        Parameters
        ----------
        onset : str
            ISO 8601 date and time, with or without an offset from UTC, or a time of day, which
            is the first such time at or after the recording's start.

        Raises
        ------
        InputError
            It is no time, the header has no start, or the two clocks cannot be compared.

        Examples
        --------
        >>> Clock(datetime(2026, 1, 1, 23, 59, 50), None, None).seconds("00:00:05")
        15.0
        """
        if self.start is None:
            raise InputError("The file's header has no start time. Give start_s instead of onset.")
        if _DAY_TIME.fullmatch(onset):
            return self._of_day(self.start, onset)
        try:
            moment = datetime.fromisoformat(onset.replace(",", "."))
        except ValueError:
            raise InputError(
                f"onset needs a time such as 2026-03-01T22:15:00 or 22:15:00, got {onset!r}."
            ) from None
        if moment.tzinfo is None and self.labels_zone is None and self.zone is None:
            return (moment - self.start).total_seconds()
        stated = moment if moment.tzinfo else _in_zone(moment, self.labels_zone)
        return (stated.astimezone(UTC) - self._utc(self.start)).total_seconds()

    def _of_day(self, start: datetime, onset: str) -> float:
        if self.labels_zone is not None:
            start = self._utc(start).astimezone(self.labels_zone).replace(tzinfo=None)
        elif self.zone is not None:
            _in_zone(start, None)
        hours, _, rest = onset.replace(",", ".").partition(":")
        try:
            of_day = time.fromisoformat(f"{int(hours):02d}:{rest}")
        except ValueError:
            raise InputError(f"onset needs a time of day to 23:59:59, got {onset!r}.") from None
        seconds = (datetime.combine(start.date(), of_day) - start).total_seconds()
        return seconds % timedelta(days=1).total_seconds()

    def _utc(self, start: datetime) -> datetime:
        return _in_zone(start, self.zone).astimezone(UTC)


def _in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        raise InputError(
            "The label's clock and the file's need to be one, but only one of them states its"
            " zone. Name the recorder's zone, such as --timezone Europe/Berlin."
        )
    early, late = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if early.utcoffset() != late.utcoffset():
        raise InputError(
            "The clock was changed in that hour, so its times are ambiguous. Give onset with its"
            " offset from UTC, or start_s."
        )
    return early


@dataclass(frozen=True)
class Header:
    """A recording's clock and annotations.

    Parameters
    ----------
    clock : Clock
    marks : tuple of (float, float, str)
        Onset and duration in seconds from the recording's start, and text.
    """

    clock: Clock
    marks: tuple[tuple[float, float, str], ...]


def read_header(path: Path, duration_s: float, zone: tzinfo | None = None) -> Header:
    """Read the clock and annotations of a file that a ``Reader`` has opened.

    Parameters
    ----------
    path : Path
    duration_s : float
        Of the recording, pauses included.
    zone : tzinfo or None
        Where it was recorded.

    Raises
    ------
    InputError
        The file cannot be read, or it paused and its annotations do not say for how long.
    """
    raw, marks = _open(path)
    if len(marks) and not _is_edf(path):  # other formats count samples, EDF+ states seconds
        paused_s = duration_s - raw.n_times / raw.info["sfreq"]
        if abs(paused_s) > _PAUSE_S:
            raise InputError(
                f"Annotations need their time, but {path.name} paused for {paused_s:g} s and counts"
                " samples. Give a table of labels with onset or start_s."
            )
    shift = raw.first_time if marks.orig_time is not None and not _is_edf(path) else 0.0
    return Header(
        _clock(raw, path, zone),
        tuple(
            (float(mark["onset"]) - shift, float(mark["duration"]), mark["description"].strip())
            for mark in marks
        ),
    )


def mark_texts(text: str) -> tuple[str, ...]:
    """What an annotation's text may be called: itself, and without BrainVision's marker type.

    Examples
    --------
    >>> mark_texts("Comment/Seizure")
    ('comment/seizure', 'seizure')
    """
    plain = text.strip().lower()
    return (plain, _MARKER_TYPE.sub("", plain))


def _clock(raw: Any, path: Path, zone: tzinfo | None) -> Clock:
    start = raw.info["meas_date"]
    if start is not None:
        later_s = first_stamp_s(path) if _is_edf(path) else raw.first_time
        start = start.replace(tzinfo=None) + timedelta(seconds=later_s)
    is_utc = path.name.lower().endswith(UTC_FORMATS)
    return Clock(start, UTC if is_utc else zone, zone)


def _is_edf(path: Path) -> bool:
    return path.suffix.lower() in (".edf", ".bdf")


def _open(path: Path) -> tuple[Any, Any]:
    """MNE's view of the file, and its annotations."""
    import mne

    # Texts of EDF+ should be UTF-8; older software writes its own code page.
    codings = ("utf8", "latin1") if _is_edf(path) else (None,)
    for coding in codings:
        options = {} if coding is None else {"encoding": coding}
        try:
            with warnings.catch_warnings(), redirect_stdout(StringIO()):
                warnings.simplefilter("ignore")  # the reader of the recording has warned already
                raw = mne.io.read_raw(path, preload=False, verbose="error", **options)
                # A recording's own are cut where its samples end, as if it had not paused.
                return raw, mne.read_annotations(path, **options) if options else raw.annotations
        except Exception as err:  # readers of 30 formats raise anything on a damaged file
            failed = err
    raise InputError(
        f"Annotations need a readable header, but that of {path.name} is not"
        f" ({type(failed).__name__}). Give a table of labels with start_s."
    ) from None
