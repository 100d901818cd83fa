"""Formats of single makers, as MNE reads them."""

from __future__ import annotations

from pathlib import Path

from ...system.errors import InputError
from .format import Source, beside, read_part, recording_format
from .mne_raw import open_with_mne

_curry = beside(".cdt.dpa", ".cdt.dpo", ".cdt.cef", ".cdt.ceo", ".dpa", ".dpo")
_ANT = (b"RIFF", b"RF64")
_nihon = beside(".pnt", ".log", ".21e")


@recording_format("nihon", ".eeg", parts=_nihon)
def open_nihon(path: Path) -> Source:
    """Open a Nihon Kohden recording (and say what else ends in .eeg)."""
    if not read_part(path, 16).startswith((b"EEG-", b"QI-", b"DAE-")):
        raise InputError(
            f"A file ending in .eeg needs to be a Nihon Kohden recording, but {path.name} is none."
            " If it holds the samples of a BrainVision recording, give that one's header (.vhdr),"
            " with all files of one stem."
        )
    return open_with_mne(path, _nihon(path))


@recording_format("curry", ".cdt", parts=_curry)
def open_curry(path: Path) -> Source:
    """Open a Curry recording."""
    return open_with_mne(path, _curry(path))


@recording_format("neuroscan", ".cnt")
def open_neuroscan(path: Path) -> Source:
    """Open a Neuroscan or ANT recording; which of them it is, its first bytes say."""
    is_ant = read_part(path, 4) in _ANT
    return open_with_mne(path, reader="read_raw_ant" if is_ant else "read_raw_cnt")


@recording_format("nicolet", ".nedf")
def open_nedf(path: Path) -> Source:
    """Open a NEDF recording of a Neuroelectrics amplifier."""
    return open_with_mne(path)


@recording_format("egi", ".mff")
def open_egi(path: Path) -> Source:
    """Open an EGI recording, which is a folder."""
    return open_with_mne(path, (file for file in path.rglob("*") if file.is_file()))
