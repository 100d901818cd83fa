"""Files that are whole or absent, JSON and tables with the hash of their own content."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A process id means something on its own host only.
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
SEAL = "seal"  # in JSON and in a table's metadata: the hash of the rest


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it into place when the block succeeds.

    The temporary may become a file or a folder; a file is flushed to the disk before it is renamed.
    A killed process leaves only the temporary, whose name starts with ``.tmp-``; the next one of
    this machine that writes ``path`` removes it. A link to a folder stays one, to the new folder; a
    link to a file is replaced, because what it points to may be shared.
    """
    if path.is_dir():
        path = path.resolve()  # "." has no name to put a temporary beside
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.parent / f".tmp-{os.getpid()}-{threading.get_ident()}-{_HOST}-{path.name}"
    try:
        yield temporary
        if not temporary.is_dir():
            flush(temporary)
        elif path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _flush_one(path.parent)
    except OSError as err:
        if err.filename in (None, str(temporary)):
            err.filename = str(path)
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():  # a read-only disk refuses to remove what is not there
            temporary.unlink()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in the system's errors that name none, as most errors of a full disk do."""
    try:
        yield
    except OSError as err:
        err.filename = err.filename or str(path)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left while they wrote ``path`` by ``atomic``."""
    for left in path.parent.glob(f".tmp-*-{_HOST}-{glob.escape(path.name)}"):
        import psutil

        if not psutil.pid_exists(int(left.name.split("-")[1])):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Take a file's whole length from the disk, before it is mapped into memory.

    A page that a full disk has no place for would end the process where it is written to.
    """
    with path.open("r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def flush(path: Path) -> None:
    """Force a file, or a folder with all below it, to the disk."""
    if path.is_dir():
        for inside in path.iterdir():
            flush(inside)
    _flush_one(path)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json(value: Any) -> str:
    """JSON with sorted keys and one spelling per value, so that equal content has equal bytes."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a table as CSV, atomically, with the same bytes on every system."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format=float_format, lineterminator="\n")


def write_json(path: Path, value: Any) -> None:
    """Write ``to_json(value)`` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(to_json(value), encoding="utf-8")


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON with the hash of itself."""
    write_json(path, {**content, SEAL: hash_json(content)})


def read_sealed(path: Path, advice: str) -> dict[str, Any]:
    """What ``write_sealed`` wrote.

    Parameters
    ----------
    path : Path
    advice : str
        The command that writes it anew.

    Raises
    ------
    InputError
        It is missing, damaged or not as it was written.
    """
    try:
        content = json.loads(path.read_bytes())
        stated = content.pop(SEAL)
    except FileNotFoundError:
        raise InputError(f"{path} is missing. Run {advice} first.") from None
    except (ValueError, AttributeError, KeyError, TypeError):
        raise InputError(f"{path} cannot be read as JSON of its stage. Run {advice}.") from None
    if stated != hash_json(content):
        raise InputError(f"{path} is not as it was written. Run {advice}.")
    return content


def write_table(path: Path, table: pd.DataFrame, notes: Mapping[str, str] | None = None) -> None:
    """Write a table as parquet, with a hash of every column; equal content gives equal bytes.

    Parameters
    ----------
    path : Path
    table : DataFrame
    notes : mapping of str to str, optional
        Kept in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pandas(table, preserve_index=False)
    sealed = {name: _hash_column(content[name]) for name in content.column_names}
    metadata = {SEAL: to_json(sealed), **(notes or {})}
    with atomic(path) as temporary:
        pq.write_table(content.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_table(
    path: Path, columns: Sequence[str] | None = None, content: bytes | None = None
) -> pd.DataFrame:
    """Read a table that an earlier stage wrote; hashes of ``write_table`` are checked.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
    content : bytes, optional
        Its bytes, where they were read already.

    Raises
    ------
    InputError
        It is damaged.
    FileNotFoundError
    """
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with io.BytesIO(path.read_bytes() if content is None else content) as stream:
            table = pq.read_table(stream, columns=None if columns is None else list(columns))
        _check_columns(table, columns)
        return table.to_pandas()
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as err:
        if getattr(err, "errno", None) is not None:  # an error of the system, not of the file
            raise
        reason = " ".join(str(err).split())[:120]
        raise InputError(
            f"{path} needs to be a table that its stage wrote, but cannot be read as such"
            f" ({reason}). Run dvc checkout, or the stage again."
        ) from None


def _check_columns(table: pa.Table, columns: Sequence[str] | None) -> None:
    sealed = (table.schema.metadata or {}).get(SEAL.encode())
    if sealed is None:  # not written by this project
        return
    stated = json.loads(sealed)
    if columns is None and list(stated) != sorted(table.column_names):
        raise ValueError("its columns are others than were written")
    for name in table.column_names:
        if stated[name] != _hash_column(table[name]):
            raise ValueError(f"its column {name} is not as it was written")


def _hash_column(column: pa.ChunkedArray) -> str:
    import pyarrow as pa

    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return hash_json(column.to_pylist())
    gaps = column.is_null().to_numpy()
    values = column.fill_null(0).to_numpy()
    return hash_bytes(str(column.type).encode(), values.tobytes(), gaps.tobytes())


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
