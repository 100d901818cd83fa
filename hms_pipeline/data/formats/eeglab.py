"""EEGLAB: a MATLAB file, with its samples in it or in a file beside it.

References
----------
Delorme and Makeig, "EEGLAB: an open source toolbox for analysis of single-trial EEG dynamics",
J Neurosci Methods 2004.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from .format import Source, UnavailableError, beside, joined, read_part, recording_format
from .mne_raw import CUT, first_behind, open_with_mne, read_marks

_samples = beside(".fdt")


@recording_format("eeglab", ".set", parts=_samples)
def open_eeglab(path: Path) -> Source:
    """Open an EEGLAB data set; boundary events tell what was cut out of it, and for how long."""
    _refuse_without_reader(path)
    source = open_with_mne(path, _samples(path))
    if not source.channels:
        return source
    sfreq = source.channels[0].sfreq
    breaks = [
        (first_behind(onset, sfreq), round(duration * sfreq) / sfreq)
        for text, onset, duration in read_marks(path)
        if text == CUT
    ]
    last = source.segments[-1]
    return replace(source, segments=joined(last.start + last.duration, breaks))


def _refuse_without_reader(path: Path) -> None:
    """MNE says of a file of MATLAB 7.3 only that it cannot read it where a package is missing."""
    if read_part(path, 2, 124) == b"\x00\x02" and find_spec("pymatreader") is None:
        raise UnavailableError(
            f"{path.name} is of MATLAB 7.3, which needs the package pymatreader. Install it with:"
            " pip install pymatreader."
        )
