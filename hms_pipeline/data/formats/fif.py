"""FIF of Neuromag and MNE; a long recording is split into files that name the next.

References
----------
MNE, "The FIFF file format", https://mne.tools/stable/documentation/implementation.html.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...system.errors import InputError
from .format import Source, recording_format
from .mne_raw import open_with_mne

_FILE_ID = 100  # the first tag
_BLOCK_START, _BLOCK_END, _REFERENCE = 104, 105, 118  # tags; the block that names another file
_ROLE, _NUMBER, _NAME, _NEXT = 115, 117, 118, 2  # tags of that block; the role of the next file
_MOST_TAGS, _MOST_PARTS = 2**20, 1000
_MOST_EXPANDED = 2**31  # bytes of a .fif.gz, which MNE unpacks into memory


def fif_parts(path: Path) -> list[Path]:
    """The files that continue a recording, in their order; those that are there."""
    found = [path]
    while len(found) <= _MOST_PARTS:
        following = _next_part(found[-1])
        if following is None or following in found or not following.is_file():
            break
        found.append(following)
    return found[1:]


@recording_format("fif", ".fif", ".fif.gz", parts=fif_parts)
def open_fif(path: Path) -> Source:
    """Open a FIF recording with all of its parts."""
    if _is_packed(path):
        _refuse_bomb(path)
    return open_with_mne(path, fif_parts(path))


def _next_part(path: Path) -> Path | None:
    """The file that a FIF file names as its next, there or not."""
    if not path.is_file():
        return None
    try:
        with _opened(path) as stream:
            named = _reference(stream)
    except (OSError, EOFError, zlib.error, struct.error):  # opening it raises the error
        return None
    if isinstance(named, int):  # some files give a number only: rec.fif, rec-1.fif, rec-2.fif
        stem, dot, ending = path.name.partition(".")
        bare, _, number = stem.rpartition("-")
        named = f"{bare if bare and number.isdigit() else stem}-{named}{dot}{ending}"
    # A name leads to the same folder only.
    return path.with_name(Path(named).name) if named and Path(named).name else None


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _opened(path: Path) -> Any:
    return gzip.open(path) if _is_packed(path) else path.open("rb")


def _reference(stream: BinaryIO) -> str | int | None:
    """Name, else number, of the next file, from the blocks of the file that refer to others."""
    block: dict[int, str | int] | None = None
    for kind, size, at in _tags(stream):
        if kind == _BLOCK_START:
            block = {} if _value(stream, at) == _REFERENCE else None
        elif block is None:
            continue
        elif kind == _BLOCK_END:
            if block.get(_ROLE) == _NEXT:
                return block.get(_NAME) or block.get(_NUMBER)
            block = None
        elif kind in (_ROLE, _NUMBER):
            block[kind] = _value(stream, at)
        elif kind == _NAME and 0 < size < 4096:
            stream.seek(at)
            block[kind] = stream.read(size).decode("latin-1").strip("\0 ")
    return None


def _tags(stream: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Kind, size and place of the content of every tag, in the order in which they are linked."""
    at = 0
    for _ in range(_MOST_TAGS):
        stream.seek(at)
        head = stream.read(16)
        if len(head) < 16:
            return
        kind, _, size, following = struct.unpack(">4i", head)
        if kind <= 0 or size < 0 or (at == 0 and kind != _FILE_ID):
            return  # this is no FIF file
        yield kind, size, at + 16
        following = at + 16 + size if following == 0 else following
        if following <= at:
            return
        at = following


def _value(stream: BinaryIO, at: int) -> int:
    stream.seek(at)
    return struct.unpack(">i", stream.read(4))[0]


def _refuse_bomb(path: Path) -> None:
    """MNE unpacks a compressed file into memory."""
    size = 0
    try:
        with gzip.open(path) as stream:
            while block := stream.read(2**20):
                size += len(block)
                if size > _MOST_EXPANDED:
                    break
    except (OSError, EOFError, zlib.error):  # opening it raises the error
        return
    if size > _MOST_EXPANDED:
        raise InputError(
            f"A compressed recording may unpack to at most {_MOST_EXPANDED:,} bytes, but"
            f" {path.name} unpacks to more. Give it uncompressed (.fif)."
        )
