"""What a recording is made of on disk, and the name that its content gives it.

Some clinical formats are several files: a header beside its samples, parts, or a folder. They are
one recording, and all of them count for what it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from ..system.errors import InputError
from ..system.files import hash_bytes, hash_file, hash_files
from .formats import format_of
from .formats.format import require_regular


def is_parquet(path: Path) -> bool:
    """Whether a file is an EEG parquet by its ending."""
    return path.suffix.lower() == ".parquet"


def is_clinical(path: Path) -> bool:
    """Whether a file or folder is a clinical recording by its ending."""
    return format_of(path) is not None


def is_scorable(path: Path) -> bool:
    """Whether a file looks like something ``hms score`` reads."""
    return not path.name.startswith(".") and (is_parquet(path) or is_clinical(path))


def _refuse_unreadable(err: OSError) -> NoReturn:
    raise InputError(
        f"Recordings need folders that can be read, but {err.filename} cannot ({err.strerror})."
        " Change its permissions, or move it elsewhere."
    ) from err


def paths_below(
    folder: Path, unreadable: Callable[[OSError], object] = _refuse_unreadable
) -> list[Path]:
    """Files and folders below a folder, sorted, but nothing hidden and nothing inside a recording.

    Links to folders are not followed.

    Parameters
    ----------
    folder : Path
    unreadable : callable, optional
        Called with the error of each folder that cannot be read; by default it refuses them.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=unreadable):
        found += [Path(place, name) for name in (*folders, *files) if not name.startswith(".")]
        folders[:] = [n for n in folders if not n.startswith(".") and not is_clinical(Path(n))]
    return sorted(found)


def list_recordings(paths: Iterable[Path]) -> list[Path]:
    """Those that can be scored, each recording once and in the order given.

    A file that belongs to another one among them, or lies in a folder among them that is itself a
    recording, is no recording of its own.
    """
    found = [path for path in paths if is_scorable(path)]
    folders = {path for path in found if is_clinical(path) and path.is_dir()}
    owned = {part for path in found for part in parts_of(path)}
    return [path for path in found if path not in owned and folders.isdisjoint(path.parents)]


def parts_of(path: Path) -> list[Path]:
    """Files of a recording beside the one that is given; none for formats of one file.

    Parameters
    ----------
    path : Path
        A recording, such as ``rec.vhdr``.

    Returns
    -------
    list of Path
        Those that are there, in an order that does not depend on their names.
    """
    found = format_of(path)
    return [] if found is None or path.is_dir() else list(dict.fromkeys(found.parts(path)))


def files_of(path: Path) -> list[Path]:
    """Every file of a recording: itself and its parts, or what its folder holds."""
    if path.is_dir():
        inside = (file for file in path.rglob("*") if not file.is_dir())
        return sorted(file for file in inside if not file.name.startswith("."))
    return [path, *parts_of(path)]


def anonymous_id(path: Path) -> str:
    """What a clinical recording is called: ``recording-`` and 12 digits of its content's hash.

    Names of clinical files often hold patients' names, so they are used only when asked for. A
    recording that cannot be read is ``unreadable-`` and a hash of its path.
    """
    try:
        return f"recording-{content_hash(path)[:12]}"
    except (InputError, OSError):
        return unreadable_id(path)


def unreadable_id(path: Path) -> str:
    """What a recording is called whose content cannot be read."""
    return f"unreadable-{hash_bytes(str(path).encode())[:12]}"


def content_hash(path: Path) -> str:
    """SHA-256 of a recording's content, whatever its files are called.

    Parameters
    ----------
    path : Path
        A file, a header with its parts, or a folder.

    Returns
    -------
    str
        Hex; of one file what ``sha256sum`` gives.

    Raises
    ------
    InputError
        A file is no regular one.
    OSError
        A file cannot be read.
    """
    files = files_of(path)
    for file in files:
        require_regular(file)
    if path.is_dir():
        return hash_files(files, path)
    hashes = [hash_file(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hash_bytes(*(text.encode() for text in hashes))
