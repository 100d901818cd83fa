"""Stretches of a recording as annotations that MNE and other viewers read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..system.errors import InputError
from ..system.files import atomic
from .formats.mne_raw import need_mne

ENDINGS = (".csv", ".txt", ".fif", ".fif.gz")


def write_annotations(
    path: Path, onsets_s: Sequence[float], durations_s: Sequence[float], descriptions: Sequence[str]
) -> Path:
    """Write annotations relative to a recording's first sample, without any date.

    Parameters
    ----------
    path : Path
        Ending ``.csv``, ``.txt`` or ``.fif`` (MNE wants ``...-annot.fif``). A CSV gets a mark
        ``HMS/start`` at 0 s.
    onsets_s, durations_s : sequence of float
        Seconds from the recording's start.
    descriptions : sequence of str
        One text each.

    Returns
    -------
    Path
        ``path``; ``mne.read_annotations`` reads it back.

    Raises
    ------
    InputError
        Another ending, or MNE is not installed.
    """
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise InputError(
            f"Annotations need a file ending in one of {list(ENDINGS)}, but {path.name} was given."
            " Change the ending."
        )
    mne = need_mne("Writing annotations")
    onsets, durations, texts = list(onsets_s), list(durations_s), list(descriptions)
    if path.suffix == ".csv" and 0 not in onsets:
        # MNE reads a CSV's onsets relative to its first one, so the first must be the start.
        onsets, durations, texts = [0.0, *onsets], [0.0, *durations], ["HMS/start", *texts]
    annotations = mne.Annotations(onsets, durations, texts)
    with atomic(path) as temporary:
        annotations.save(temporary, overwrite=True, verbose="error")
    return path
