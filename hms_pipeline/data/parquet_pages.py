"""How much memory a parquet file takes to unpack, by its own pages and before any is unpacked.

A footer's sizes are the sender's word: a few kilobytes may unpack to gigabytes. A reader allocates
what the header in front of each page says, and what the footer says of the number of values, so
these are what is added up here (Apache Parquet format: ``PageHeader`` in Thrift's compact protocol).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MAX_VALUES = 2**29  # read at once; 36 h of 20 channels at 200 Hz, 2 GiB as float32
MAX_WIDTH, SLACK = 16, 2**16  # bytes of a number and its dictionary's; of a column's structure
MAX_FOOTER = 2**20  # bytes; each may take 300 once it is parsed
MAX_HEADER = 2**16  # bytes of one page's header
FEW = 256  # bytes that hold nearly every page's header
MAX_DEPTH = 8  # of structures in a header; the format has 3
DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # page types
DICTIONARY_CODED, PREFIX_CODED = {2, 8}, 7  # encodings of data pages
# Field of a header -> its type: numbers (5) and structures (12) that decide what is unpacked.
_PAGE = {1: 5, 2: 5, 3: 5, 5: 12, 7: 12, 8: 12}
_DATA = {1: 5, 2: 5}
_DATA_V2 = {1: 5, 4: 5}


class PageError(ValueError):
    """A page, or the file's structure, is not what any writer of tables makes."""


@dataclass(frozen=True)
class Chunk:
    """What one column of one row group unpacks to.

    Parameters
    ----------
    n_values : int
        As the footer says; a reader makes room for so many.
    n_bytes : int
        Sum of its pages, unpacked.
    dictionary, prefixes : bool
        Values repeat those of a dictionary, or the beginning of the value before: both may take
        more than ``n_bytes`` once they are written out.
    """

    n_values: int
    n_bytes: int
    dictionary: bool
    prefixes: bool


class CheckedFile(pq.ParquetFile):
    """A parquet file whose columns of numbers are held against their pages before they are read.

    Page checksums are verified where the writer made them.

    Parameters
    ----------
    stream : NativeFile

    Raises
    ------
    PageError
        Its footer is too long; when reading, the columns hold more than numbers, or more of them
        than ``MAX_VALUES``.
    """

    def __init__(self, stream: pa.NativeFile) -> None:
        check_footer(stream)
        super().__init__(stream, page_checksum_verification=True)
        self._stream = stream

    def read(self, columns: Sequence[str], **options: Any) -> pa.Table:
        """As ParquetFile's."""
        return self.read_row_groups(range(self.metadata.num_row_groups), columns, **options)

    def read_row_groups(
        self, row_groups: Sequence[int], columns: Sequence[str], **options: Any
    ) -> pa.Table:
        """As ParquetFile's."""
        self.check_numbers(row_groups, columns)
        return super().read_row_groups(list(row_groups), list(columns), **options)

    def check_numbers(self, row_groups: Sequence[int], columns: Sequence[str]) -> None:
        """Refuse columns that take more memory than their numbers do.

        Raises
        ------
        PageError
        """
        check_rows(self.metadata)
        places = leaves(self.metadata)
        room = MAX_VALUES
        for group in row_groups:
            rows = self.metadata.row_group(group)
            for name in columns:
                if name not in places:
                    raise PageError(f"its column {name} nests")
                chunk = read_chunk(self._stream, rows, places[name])
                room -= chunk.n_values
                if room < 0:
                    raise PageError(f"it has more than {MAX_VALUES} values in one piece")
                if chunk.n_bytes > SLACK + MAX_WIDTH * chunk.n_values:
                    raise PageError("its pages unpack to more than its numbers")


def leaves(metadata: pq.FileMetaData) -> dict[str, int]:
    """Name of a flat column → its place.

    Raises
    ------
    PageError
        A column holds lists or structures.
    """
    schema = metadata.schema
    found = [schema.column(place) for place in range(metadata.num_columns)]
    if any(leaf.max_repetition_level or leaf.max_definition_level > 1 for leaf in found):
        raise PageError("its columns nest")
    return {leaf.path: place for place, leaf in enumerate(found)}


def check_rows(metadata: pq.FileMetaData) -> None:
    """Refuse a file whose row groups have other rows than the file.

    Raises
    ------
    PageError
    """
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
        raise PageError("its row groups have other rows than the file")


def check_footer(stream: pa.NativeFile) -> None:
    """Refuse a footer that takes much memory to parse.

    Raises
    ------
    PageError
        It is longer than ``MAX_FOOTER``.
    """
    size = stream.size()
    if size < 12:
        return  # the reader says what is wrong with it
    length = int.from_bytes(stream.read_at(8, size - 8)[:4], "little")
    if min(length, size) > MAX_FOOTER:
        raise PageError(f"its footer has {length} bytes, more than {MAX_FOOTER}")


def read_chunk(stream: pa.NativeFile, rows: pq.RowGroupMetaData, column: int) -> Chunk:
    """Add up the pages of one column chunk.

    Parameters
    ----------
    stream : NativeFile
        The whole file; only headers are read from it.
    rows : RowGroupMetaData
    column : int
        A flat one's place.

    Raises
    ------
    PageError
        A header cannot be read, a size is impossible, or pages hold next to nothing.
    """
    chunk = rows.column(column)
    if chunk.num_values != rows.num_rows or chunk.num_values < 0:
        raise PageError("its columns differ in length")
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    stop = min(at + chunk.total_compressed_size, stream.size())
    return _add_up(stream, at, stop, chunk.num_values)


def _add_up(stream: pa.NativeFile, at: int, stop: int, n_values: int) -> Chunk:
    n_bytes = seen = n_pages = 0
    encodings = set()
    while seen < n_values and at < stop:
        n_pages += 1
        if n_pages > 16 + n_values // 64:
            raise PageError("its pages are next to empty")
        page, length = _header_at(stream, at, stop)
        kind, unpacked, packed = (page.get(field, -1) for field in (1, 2, 3))
        if min(kind, unpacked, packed) < 0:
            raise PageError("a page's header is not whole")
        n_bytes += max(unpacked, packed)
        at += length + packed
        if kind in (DATA, DATA_V2):
            header = page.get(5 if kind == DATA else 8, {})
            values = header.get(1, -1)
            if values < 0:
                raise PageError("a page's header is not whole")
            seen += values
            encodings.add(header.get(2 if kind == DATA else 4))
    return Chunk(n_values, n_bytes, bool(encodings & DICTIONARY_CODED), PREFIX_CODED in encodings)


def _header_at(stream: pa.NativeFile, at: int, stop: int) -> tuple[dict, int]:
    few = stream.read_at(min(FEW, stop - at), at)
    try:
        return read_header(few)
    except PageError:
        if len(few) < FEW:
            raise
        return read_header(stream.read_at(min(MAX_HEADER, stop - at), at))


def read_header(data: bytes) -> tuple[dict, int]:
    """A page's header and its length in bytes.

    Parameters
    ----------
    data : bytes
        From the header's first byte on.

    Returns
    -------
    fields : dict
        Field → number, or fields of a structure.
    length : int

    Raises
    ------
    PageError
        It is damaged, or a field comes twice or with another type than the format's.

    Examples
    --------
    >>> read_header(bytes([0x15, 0, 0x15, 20, 0x15, 8, 0]))
    ({1: 0, 2: 10, 3: 4}, 7)
    """
    try:
        return _struct(data, 0, 0, _PAGE)
    except IndexError:
        raise PageError("a page's header is cut off or too long") from None


def _struct(data: bytes, at: int, depth: int, known: dict[int, int]) -> tuple[dict, int]:
    if depth > MAX_DEPTH:
        raise PageError("a page's header nests too deep")
    fields: dict = {}
    field = 0
    while head := data[at]:
        at += 1
        kind, delta = head & 15, head >> 4
        if delta:
            field += delta
        else:
            field, at = _number(data, at)
        if field in fields or known.get(field, kind) != kind:
            raise PageError("a page's header is not the format's")
        inner = {5: _DATA, 8: _DATA_V2}.get(field, {}) if depth == 0 else {}
        fields[field], at = _value(data, at, kind, depth, inner)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int, known: dict[int, int]) -> tuple:
    if kind in (1, 2):  # true, false
        return kind, at
    if kind == 3:  # byte
        return data[at], at + 1
    if kind in (4, 5, 6):  # i16, i32, i64
        return _number(data, at)
    if kind == 7:  # double
        return None, at + 8
    if kind == 8:  # bytes
        length, at = _varint(data, at)
        return None, at + length
    if kind in (9, 10):  # list, set
        return None, _skip_list(data, at, depth)
    if kind == 12:
        return _struct(data, at, depth + 1, known)
    raise PageError("a page's header is not the format's")


def _skip_list(data: bytes, at: int, depth: int) -> int:
    head = data[at]
    at, size, kind = at + 1, head >> 4, head & 15
    if size == 15:
        size, at = _varint(data, at)
    for _ in range(min(size, MAX_HEADER)):
        _, at = _value(data, at, 3 if kind in (1, 2) else kind, depth + 1, {})
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise PageError("a page's header is not the format's")


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    value = (value >> 1) ^ -(value & 1)
    if not -(2**31) <= value < 2**31:  # a reader would cut it to 32 bits
        raise PageError("a page's header is not the format's")
    return value, at
