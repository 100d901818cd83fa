"""Channel labels of clinical files → electrodes, derivations and references.

References
----------
Klem et al., "The ten-twenty electrode system of the International Federation", 1999: T7/T8/P7/P8
are the later names of T3/T4/T5/T6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..schema import EKG, ELECTRODES
from ..system.errors import InputError

LATER_NAMES = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
COMMON_REFERENCE = "REF"  # the recording's own reference, where a label names none

_CANONICAL = {name.upper(): name for name in ELECTRODES} | LATER_NAMES
_PREFIX = re.compile(r"^(?:EEG|POL)[\s_:.-]*", re.IGNORECASE)
_PLACE = r"(?:(?:FP|AF|FT|FC|TP|CP|PO|F|C|T|P|O|I)(?:Z|\d{1,2})|[AM][12])"
_SITE = re.compile(f"^{_PLACE}$")
_EKG = re.compile(r"^(?:ECG|EKG)(?:[\s_-]*(?P<lead>\d|[LRI]+|LA|RA))?$")
_REFERENCE = r"(?:REF(?:ERENCE)?\d*|LE|AVG?|AVE|CAR|(?:A1|M1)\W?(?:A2|M2)|[AM][12])"
# Between an electrode and its reference; anything but a hyphen only before what can be nothing else
# ("O2/CO2" and "O2 Sat" are no electrodes).
_BETWEEN = re.compile(
    rf"\s*[-\u2013]\s*|\s*[:/]\s*(?=(?:{_PLACE}|{_REFERENCE})[\s.]*$)"
    rf"|[\s_]+(?={_REFERENCE}[\s.]*$)",
    re.IGNORECASE,
)
_LINKED = re.compile(r"[AM]1\s*[:/]\s*[AM]2", re.IGNORECASE)
_COUNTED = re.compile(r"-\d{1,2}$")  # readers number the repeats of a label: T8-P8-0, T8-P8-1


@dataclass(frozen=True)
class Channel:
    """One usable channel: the potential of ``plus`` over that of ``minus``.

    Parameters
    ----------
    label : str
        The file's own label.
    plus, minus : str
        Electrodes; ``minus`` is a reference's name where it is not a scalp electrode.
    """

    label: str
    plus: str
    minus: str

    @property
    def is_derivation(self) -> bool:
        """Whether both ends are scalp electrodes."""
        return _is_scalp(self.minus)


def electrode(text: str) -> str | None:
    """The electrode a word names, in this data set's spelling.

    Parameters
    ----------
    text : str
        Such as ``"FP1"``, ``"t7"``, ``"Cz"``.

    Returns
    -------
    str or None
        ``"Fp1"``, ``"T3"``, ``"Cz"``; another site of the extended system in upper case; None
        where it is no site.
    """
    word = text.strip(" .+").upper()  # PhysioNet pads labels with dots; "Fp1+" is an input
    return _CANONICAL.get(word, word if _SITE.match(word) else None)


def parse_label(label: str) -> Channel | None:
    """Read one channel label.

    Parameters
    ----------
    label : str
        As the file has it.

    Returns
    -------
    Channel or None
        None for what is no scalp EEG or EKG.

    Examples
    --------
    >>> parse_label("EEG FP1-LE")
    Channel(label='EEG FP1-LE', plus='Fp1', minus='LE')
    >>> parse_label("C3:A2")
    Channel(label='C3:A2', plus='C3', minus='A2')
    >>> parse_label("T7-P7")
    Channel(label='T7-P7', plus='T3', minus='T5')
    >>> parse_label("SPO2") is None
    True
    """
    words = _PREFIX.sub("", label.strip())
    heart = _heart(words) or _heart(label.strip())
    if heart:
        return Channel(label, EKG, heart)
    first, *rest = _ends(_without_count(words))
    plus, minus = electrode(first), rest[0] if rest and rest[0] else COMMON_REFERENCE
    if plus is None or not _is_scalp(plus):
        return None
    if re.search(r"[-\u2013:/]", _LINKED.sub("", minus)):  # "Fp1-F7-T3" has three ends
        return None
    return Channel(label, plus, electrode(minus) or minus.upper())


def parse_labels(
    labels: Sequence[str], rename: Mapping[str, str] | None = None
) -> list[Channel | None]:
    """Read all labels of a file, in their order.

    Parameters
    ----------
    labels : sequence of str
        The file's labels.
    rename : mapping of str to str, optional
        Label → name to read instead (``{"E11": "Fz"}``); the case of labels does not matter.

    Raises
    ------
    InputError
        ``rename`` names a label the file does not have, or a name that is no electrode; or
        ``Fp1+`` and ``Fp1-`` are channels of their own.
    """
    wanted = {old.strip().upper(): new for old, new in (rename or {}).items()}
    present = {label.strip().upper() for label in labels}
    if missing := sorted(wanted.keys() - present):
        raise InputError(
            f"--rename needs labels of the file, but {missing} are not among"
            f" {list(labels)[:40]}. Correct the labels."
        )
    channels = []
    for label in labels:
        new = wanted.get(label.strip().upper())
        channel = parse_label(label if new is None else new)
        if new is not None and channel is None:
            raise InputError(
                f"--rename needs names of electrodes, but {label!r} is mapped to {new!r}."
                f" Use one of {[*ELECTRODES, EKG]} or a derivation such as 'Fp1-F7'."
            )
        channels.append(channel and Channel(label, channel.plus, channel.minus))
    _refuse_inputs([channel.label.strip().upper() for channel in channels if channel])
    return channels


def _refuse_inputs(labels: Sequence[str]) -> None:
    both = [text for text in labels if text.endswith("+") and f"{text[:-1]}-" in labels]
    if both:
        raise InputError(
            f"An electrode needs one channel, but beside {both} the file has the same with '-': the"
            " two inputs of one amplifier. Export their difference instead of them."
        )


def _is_scalp(name: str) -> bool:
    return electrode(name) is not None and name.upper() not in ("A1", "A2", "M1", "M2")


def _ends(words: str) -> list[str]:
    return [part.strip() for part in _BETWEEN.split(words, maxsplit=1)]


def _without_count(words: str) -> str:
    # "Fp1-0" is a repeated label; "EEG 30-LE" and "Fp1-A1" are not.
    bare = _COUNTED.sub("", words)
    return bare if electrode(_ends(bare)[0]) else words


def _heart(words: str) -> str | None:
    # "ECG EKG-Ref", "EKG EKG", "EKG-LE", "ECG1", "ECG L-R": the lead's name or the reference.
    parts = words.upper().split("-")
    match = _EKG.match(parts[0].strip().split(" ")[-1]) or _EKG.match(parts[0].strip())
    if not match:
        return None
    return match["lead"] or (parts[1].strip() if len(parts) > 1 else COMMON_REFERENCE)
