"""How much memory a parquet file takes, read from its pages' headers before it is unpacked.

The sizes in a footer cannot be trusted: a few kilobytes may unpack to gigabytes. A reader allocates
as much as the header before each page says, and as the footer's number of values needs. This module
adds these up (Apache Parquet format: ``PageHeader``, Thrift compact protocol).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

# Most values that are read at once: 36 h of 20 channels at 200 Hz, 2 GiB as float32.
MAX_VALUES = 2**29
MAX_WIDTH, SLACK = 16, 2**16  # bytes of a number and its dictionary's; of a column's structure
MAX_FOOTER = 2**20  # bytes; a byte of the footer may take 300 once it is parsed
MAX_HEADER = 2**16  # bytes of one page's header
FEW = 256  # bytes that hold nearly every page's header
MAX_DEPTH = 12  # deepest nesting of structures and lists
DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # page types
BYTES, LIST, SET, STRUCT = 8, 9, 10, 12  # of Thrift
NUMBERS = {4: 16, 5: 32, 6: 64}  # and their bits
WIDTHS = {1: 0, 2: 0, 3: 1, 7: 8}  # bytes: true and false, which a field's type tells; byte; double
DICTIONARY_CODED, PREFIX_CODED = {2, 8}, 7  # encodings of data pages
# Field → its type, and the same of a structure or of a list's: what decides how much is unpacked.
Known = dict[int, tuple[int, dict]]
_PAGE: Known = {
    1: (5, {}), 2: (5, {}), 3: (5, {}), 5: (12, {1: (5, {}), 2: (5, {})}), 7: (12, {}),
    8: (12, {1: (5, {}), 4: (5, {})}),
}  # fmt: skip
_COLUMN: Known = {3: (12, {field: (6, {}) for field in (5, 7, 9, 11)})}
_FOOTER: Known = {3: (6, {}), 4: (9, {1: (9, _COLUMN), 3: (6, {})})}


class PageError(ValueError):
    """A page, or the file's structure, is not what any writer of tables makes."""


class Chunk(NamedTuple):
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
    """A parquet file whose columns of numbers are compared with their pages before they are read.

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
        return super().read_row_groups(list(row_groups), columns=list(columns), **options)

    def check_numbers(self, row_groups: Sequence[int], columns: Sequence[str]) -> None:
        """Refuse columns that take more memory than their numbers do.

        Raises
        ------
        PageError
        """
        check_rows(self.metadata)
        places = leaves(self.metadata)
        room = MAX_VALUES
        groups = read_groups(self._stream)
        for rows in (groups[group] for group in row_groups):
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


def read_groups(stream: pa.NativeFile) -> list[dict]:
    """The footer's row groups, field by field.

    Arrow's own ``RowGroupMetaData.column`` ends the process where a column's statistics contradict
    its schema.

    Raises
    ------
    PageError
    """
    size = stream.size()
    length = int.from_bytes(stream.read_at(8, size - 8)[:4], "little")
    try:
        fields, _ = _struct(stream.read_at(length, max(0, size - 8 - length)), 0, _FOOTER)
    except IndexError:
        raise PageError("its footer is cut off") from None
    return fields.get(4, [])


def read_chunk(stream: pa.NativeFile, rows: dict, column: int) -> Chunk:
    """Add up the pages of one column chunk.

    Parameters
    ----------
    stream : NativeFile
        The whole file; only headers are read from it.
    rows : dict
        One of ``read_groups``.
    column : int
        A flat one's place.

    Raises
    ------
    PageError
        A header cannot be read, a size is impossible, or pages hold next to nothing.
    """
    try:
        chunk = rows[1][column][3]
        n_values, length, at = chunk[5], chunk[7], chunk[9]
    except (KeyError, IndexError):
        raise PageError("its footer lacks a column") from None
    if n_values != rows.get(3) or min(n_values, length, at) < 0:
        raise PageError("its columns differ in length")
    if 0 < chunk.get(11, 0) < at:
        at = chunk[11]
    return _add_up(stream, at, min(at + length, stream.size()), n_values)


def _add_up(stream: pa.NativeFile, at: int, stop: int, n_values: int) -> Chunk:
    n_bytes = seen = n_pages = 0
    encodings = set()
    while seen < n_values and at < stop:
        n_pages += 1
        if n_pages > 16 + n_values // 64:
            raise PageError("its pages are next to empty")
        page, length = _header_at(stream, at, stop)
        kind, unpacked, packed = page.get(1, -1), page.get(2, -1), page.get(3, -1)
        if kind < 0 or unpacked < 0 or packed < 0:
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
        return _struct(data, 0, _PAGE)
    except IndexError:
        raise PageError("a page's header is cut off or too long") from None


def _struct(data: bytes, at: int, known: Known, depth: int = 0) -> tuple[dict, int]:
    """Those of a structure's fields that are known, and the place after it."""
    if depth > MAX_DEPTH:
        raise PageError("a header nests too deep")
    fields: dict = {}
    field = 0
    while head := data[at]:
        at += 1
        kind = head & 15
        if head > 15:
            field += head >> 4
        else:
            field, at = _number(data, at, 16)
        if field not in known:
            # Most of a footer are numbers of one byte.
            at = at + 1 if kind in NUMBERS and data[at] < 128 else _skip(data, at, kind, depth)
            continue
        expected, inner = known[field]
        if field in fields or expected != kind:
            raise PageError("a header is not the format's")
        if kind == LIST:
            fields[field], at = _structs(data, at, inner, depth)
        elif kind == STRUCT:
            fields[field], at = _struct(data, at, inner, depth + 1)
        else:
            fields[field], at = _number(data, at, NUMBERS[kind])
    return fields, at + 1


def _structs(data: bytes, at: int, known: Known, depth: int) -> tuple[list[dict], int]:
    kind, size, at = _list_head(data, at)
    if kind != STRUCT:
        raise PageError("a header is not the format's")
    values = []
    for _ in range(size):
        value, at = _struct(data, at, known, depth + 1)
        values.append(value)
    return values, at


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    """The place after a value that nothing depends on."""
    if kind in NUMBERS:
        return _varint(data, at)[1]
    if kind in WIDTHS:
        return at + WIDTHS[kind]
    if kind == BYTES:
        length, at = _varint(data, at)
        return at + length
    if kind == STRUCT:
        return _struct(data, at, {}, depth + 1)[1]
    if kind not in (LIST, SET) or depth > MAX_DEPTH:
        raise PageError("a header is not the format's")
    kind, size, at = _list_head(data, at)
    for _ in range(size):
        at = _skip(data, at, 3 if kind in (1, 2) else kind, depth + 1)
    return at


def _list_head(data: bytes, at: int) -> tuple[int, int, int]:
    head = data[at]
    at, size = at + 1, head >> 4
    if size == 15:
        size, at = _varint(data, at)
    if size > len(data):
        raise PageError("a header is not the format's")
    return head & 15, size, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 128:  # the case of nearly all numbers
        return value, at + 1
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


def _number(data: bytes, at: int, bits: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    value = (value >> 1) ^ -(value & 1)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):  # a reader would cut off its upper bits
        raise PageError("a header is not the format's")
    return value, at
