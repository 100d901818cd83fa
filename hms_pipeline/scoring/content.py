"""What a recording is made of on disk, and the name that its content gives it.

Some clinical formats are several files: a header beside its samples, or a folder. They are one
recording, and all of them count for what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PureWindowsPath

from ..system.files import hash_bytes, hash_file, hash_files

CLINICAL_ENDINGS = (
    ".edf", ".bdf", ".gdf", ".vhdr", ".fif", ".fif.gz", ".set", ".cnt", ".mff", ".lay", ".nedf",
    ".eeg", ".cdt",
)  # fmt: skip
# Header → endings of the files with the same stem that belong to it.
COMPANIONS = {
    ".vhdr": (".eeg", ".vmrk", ".dat", ".avg", ".seg"),  # BrainVision
    ".set": (".fdt",),  # EEGLAB
    ".lay": (".dat",),  # Persyst
    ".cdt": (".cdt.dpa", ".cdt.dpo", ".cdt.cef", ".cdt.ceo", ".dpa", ".dpo"),  # Curry
    ".eeg": (".pnt", ".log", ".21e"),  # Nihon Kohden
}
# Text headers that name their files themselves, by other stems, too.
NAMED = re.compile(r"^[ \t]*(?:DataFile|MarkerFile|File)[ \t]*=[ \t]*(\S[^\r\n]*)", re.I | re.M)
HEADER_BYTES = 65_536  # where the names stand


def is_parquet(path: Path) -> bool:
    """Whether a file is an EEG parquet by its ending."""
    return path.suffix.lower() == ".parquet"


def is_clinical(path: Path) -> bool:
    """Whether a file or folder is a clinical recording by its ending."""
    return path.name.lower().endswith(CLINICAL_ENDINGS)


def is_scorable(path: Path) -> bool:
    """Whether a file looks like something ``hms score`` reads."""
    return not path.name.startswith(".") and (is_parquet(path) or is_clinical(path))


def list_recordings(paths: Iterable[Path]) -> list[Path]:
    """Those that can be scored, each recording once and in the order given.

    A file that belongs to a header among them, or lies in a folder among them that is itself a
    recording, is no recording of its own.
    """
    found = [path for path in paths if is_scorable(path)]
    folders = {path for path in found if is_clinical(path) and path.is_dir()}
    owned = {companion for path in found for companion in companions(path)}
    return [path for path in found if path not in owned and folders.isdisjoint(path.parents)]


def companions(path: Path) -> list[Path]:
    """Files that a header needs beside itself; none for formats of one file.

    Parameters
    ----------
    path : Path
        A recording, such as ``rec.vhdr``.

    Returns
    -------
    list of Path
        Those that are there, in an order that does not depend on their names.
    """
    endings = COMPANIONS.get(path.suffix.lower(), ())
    candidates = [
        path.with_name(path.stem + spelling)
        for ending in endings
        for spelling in (ending, ending.upper())
    ]
    candidates += _named_in(path)
    found = [other for other in candidates if other != path and other.is_file()]
    return list(dict.fromkeys(found))


def _named_in(header: Path) -> Iterator[Path]:
    if header.suffix.lower() not in (".vhdr", ".lay"):
        return
    try:
        with header.open("rb") as stream:
            text = stream.read(HEADER_BYTES).decode("latin-1")
    except OSError:  # reported when it is read
        return
    for name in NAMED.findall(text):
        name = PureWindowsPath(name.strip().replace("$b", header.stem)).name
        if name:
            yield header.with_name(name)


def files_of(path: Path) -> list[Path]:
    """Every file of a recording: itself, its companions, or what its folder holds."""
    if path.is_dir():
        inside = (file for file in path.rglob("*") if file.is_file())
        return sorted(file for file in inside if not file.name.startswith("."))
    return [path, *companions(path)]


def content_hash(path: Path) -> str:
    """SHA-256 of a recording's content, whatever its files are called.

    Parameters
    ----------
    path : Path
        A file, a header with companions, or a folder.

    Returns
    -------
    str
        Hex; of one file what ``sha256sum`` gives.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    if path.is_dir():
        return hash_files(files_of(path), path)
    hashes = [hash_file(file) for file in files_of(path)]
    return hashes[0] if len(hashes) == 1 else hash_bytes(*(text.encode() for text in hashes))


def anonymous_id(path: Path) -> str:
    """``recording-`` and the first twelve hex digits of the content's SHA-256.

    Names of clinical files often hold patients' names, so they are used only when asked for. A
    recording that cannot be read is ``unreadable-`` and a hash of its path.
    """
    try:
        return f"recording-{content_hash(path)[:12]}"
    except OSError:
        return f"unreadable-{hash_bytes(str(path).encode())[:12]}"
