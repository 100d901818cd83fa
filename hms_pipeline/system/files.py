"""Files that are whole or absent, JSON with one spelling, and hashes of content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it into place when the block succeeds.

    The temporary may become a file or a folder. A killed process leaves only the temporary,
    whose name starts with ``.tmp-``. A link to a folder stays one, to the new folder; a link to a
    file is replaced, because what it points to may be shared.
    """
    if path.is_dir():
        path = path.resolve()  # "." has no name to put a temporary beside
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".tmp-{os.getpid()}-{threading.get_ident()}-{path.name}"
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left while they wrote ``path`` by ``atomic``."""
    import psutil

    for left in path.parent.glob(f".tmp-*-{path.name}"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def to_json(value: Any) -> str:
    """JSON with sorted keys and one spelling per value, so that equal content has equal bytes."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write ``to_json(value)`` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(to_json(value), encoding="utf-8")


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A parquet table that an earlier stage wrote.

    Raises
    ------
    InputError
        It is damaged.
    FileNotFoundError
    """
    import pandas as pd
    from pyarrow import ArrowException

    try:
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise
    except (ArrowException, OSError, ValueError) as err:
        if getattr(err, "errno", None) is not None:  # the system's, not the file's
            raise
        reason = " ".join(str(err).split())[:120]
        raise InputError(
            f"{path} needs to be a table that its stage wrote, but cannot be read as such"
            f" ({reason}). Run dvc checkout, or the stage again."
        ) from None


def hash_bytes(*parts: bytes) -> str:
    """SHA-256 of parts, hex; each part is preceded by its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON-able value, whatever the order of its keys."""
    return hash_bytes(to_json(value).encode())


def hash_file(path: Path) -> str:
    """SHA-256 of one file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 over files' relative names and contents, in the order of their names."""
    named = sorted((path.relative_to(root).as_posix(), path) for path in paths)
    return hash_bytes(*(f"{name} {hash_file(path)}".encode() for name, path in named))
