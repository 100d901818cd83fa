"""What a request's body may be, checked before MLflow and pandas parse it."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...data.parquet_pages import (
    SLACK,
    Chunk,
    PageError,
    check_footer,
    check_rows,
    leaves,
    read_chunk,
    read_groups,
)
from ...inference.client import JSON, PARQUET

MAX_COLUMNS = 32
_UNPLAIN = re.compile(rb"\\u(?!00)")


class RefusedError(Exception):
    """A request that is answered without asking the model.

    Parameters
    ----------
    status : int
        Of HTTP.
    reason : str
        For the metrics: a few words without spaces.
    sentence : str
        For the caller; repeats nothing of the body.
    retry_s : int, optional
        When to come again.
    """

    def __init__(self, status: int, reason: str, sentence: str, retry_s: int | None = None) -> None:
        super().__init__(status, reason, sentence, retry_s)  # what a process hands to another
        self.status, self.reason, self.sentence, self.retry_s = status, reason, sentence, retry_s


@dataclass(frozen=True)
class Limits:
    """Of one request.

    Parameters
    ----------
    n_bytes : int
        Of the body, and of all its cells once they are unpacked into a table.
    rows : int
        Windows.
    cell : int
        Bytes of a cell, on the mean of its column; the model judges each, and its content.
    """

    n_bytes: int
    rows: int
    cell: int


def content_type_of(header: str) -> str:
    """``JSON`` or ``PARQUET``.

    Raises
    ------
    RefusedError
        It is another, or of another charset than UTF-8.
    """
    kind, *options = (part.strip().lower() for part in header.split(";"))
    if kind not in (JSON, PARQUET) or any(option != "charset=utf-8" for option in options):
        raise RefusedError(
            415, "content_type", f"A request needs Content-Type {PARQUET} or {JSON}, UTF-8."
        )
    return kind


def check_body(kind: str, body: bytes | bytearray, limits: Limits) -> int:
    """Refuse a body that takes more memory than its limits allow.

    Parameters
    ----------
    kind : str
        ``JSON`` or ``PARQUET``.
    body : bytes or bytearray
    limits : Limits

    Returns
    -------
    int
        About how many windows it has.

    Raises
    ------
    RefusedError
    """
    if kind == JSON:
        return _check_json(body, limits.rows)
    try:
        return _check_parquet(body, limits)
    except PageError as err:
        raise _unreadable(str(err)) from None
    except (pa.ArrowException, OSError, ValueError, MemoryError):
        raise _unreadable("it is damaged") from None


def unfit() -> RefusedError:
    """Make the refusal of a table that the model cannot read."""
    return RefusedError(
        400, "schema",
        "A request needs a table with the binary column eeg and, where there is one, spectrogram:"
        " as parquet, or as dataframe_split JSON with base64 cells.",
    )  # fmt: skip


def _unreadable(reason: str) -> RefusedError:
    return RefusedError(
        400, "unreadable", f"A request needs a readable parquet table, but {reason}. Send it again."
    )


def _check_json(body: bytes | bytearray, max_rows: int) -> int:
    # Each value of JSON but the first has one of these before it; base64 has none of them.
    n_values = sum(body.count(mark) for mark in (b",", b":", b"[", b"{"))
    most = 100 + 20 * max_rows
    if n_values > most:
        raise RefusedError(
            400, "json_values",
            f"A request may hold {most} JSON values, but has more. Send {max_rows} windows at most,"
            " each cell as one base64 text.",
        )  # fmt: skip
    if not body.isascii() or _UNPLAIN.search(body):
        raise RefusedError(
            400, "json_text", "A request needs JSON of ASCII characters. Send cells as base64."
        )
    return min(max_rows, 1 + len(body) // 2**20)


def _check_parquet(body: bytes | bytearray, limits: Limits) -> int:
    stream = pa.BufferReader(body)
    check_footer(stream)
    metadata = pq.ParquetFile(stream).metadata
    check_rows(metadata)
    if not 1 <= metadata.num_rows <= limits.rows:
        raise RefusedError(
            400, "rows",
            f"A request needs 1 to {limits.rows} windows, but has {metadata.num_rows}. Send them in"
            " parts.",
        )  # fmt: skip
    if metadata.num_columns > MAX_COLUMNS or metadata.num_row_groups > limits.rows:
        raise PageError("it has too many columns or row groups")
    columns = {name: metadata.schema.column(at) for name, at in leaves(metadata).items()}
    kinds = {
        name: column.physical_type
        for name, column in columns.items()
        if column.logical_type.type != "NULL"  # pandas writes a column of None as this type
    }
    if kinds.get("eeg") != "BYTE_ARRAY" or kinds.get("spectrogram", "BYTE_ARRAY") != "BYTE_ARRAY":
        raise unfit()
    if "FIXED_LEN_BYTE_ARRAY" in kinds.values():
        raise PageError("it has a column of fixed bytes")
    chunks = _chunks(stream, metadata)
    if any(chunk.prefixes for chunk in chunks):
        raise PageError("its encoding is DELTA_BYTE_ARRAY")
    if any(chunk.n_bytes > SLACK + limits.cell * chunk.n_values for chunk in chunks):
        raise RefusedError(
            400, "cell",
            f"A request's cell may hold {limits.cell / 2**20:g} MB, but has more. Send one window"
            " a row.",
        )  # fmt: skip
    texts = [name for name, kind in kinds.items() if kind == "BYTE_ARRAY"]
    repeated = any(chunk.dictionary for chunk in chunks)
    if sum(chunk.n_bytes for chunk in chunks) > limits.n_bytes or (
        repeated and _written_out(body, texts) > limits.n_bytes
    ):
        raise RefusedError(
            413, "unpacked",
            f"A request's cells may have {limits.n_bytes / 2**20:g} MB in all, but have more. Send"
            " fewer windows a request.",
        )  # fmt: skip
    return metadata.num_rows


def _chunks(stream: pa.NativeFile, metadata: pq.FileMetaData) -> list[Chunk]:
    places = leaves(metadata).values()
    groups = read_groups(stream)
    return [read_chunk(stream, rows, place) for rows in groups for place in places]


def _written_out(body: bytes | bytearray, names: list[str]) -> int:
    """Bytes of all texts and cells, repeated ones each time, without writing them out."""
    table = pq.read_table(pa.BufferReader(body), columns=names, read_dictionary=names)
    total = 0
    for chunk in itertools.chain.from_iterable(column.chunks for column in table.columns):
        lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
        total += pc.sum(lengths).as_py() or 0
    return total
