"""What a parquet unpacks to is known before it is unpacked."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bombs import page_bomb, run_length_bomb
from hms_pipeline.data import parquet_pages
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.parquet_pages import PageError, leaves, read_chunk, read_groups, read_header
from hms_pipeline.data.recording import open_parquet, read_columns, read_eeg
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

WRITERS = [
    {},
    {"compression": "gzip"},
    {"compression": "none", "data_page_version": "2.0"},
    {"use_dictionary": False, "data_page_size": 1024},
    {"row_group_size": 500},
    {"use_dictionary": False, "use_byte_stream_split": True},
]


@pytest.mark.parametrize("writer", WRITERS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [30.0, 0.0, np.nan])
def test_what_honest_writers_make_is_read(writer: dict, dtype: str, scale: float) -> None:
    eeg = (scale * np.random.default_rng(0).normal(size=(20, 2000))).astype(dtype)
    sink = io.BytesIO()
    pd.DataFrame(eeg.T, columns=list(EEG_COLUMNS)).to_parquet(sink, **writer)
    np.testing.assert_array_equal(read_eeg(sink.getvalue()), eeg.astype(np.float32))


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli"])
def test_a_page_bomb_is_refused_as_bytes_and_as_a_file(codec: str, tmp_path) -> None:
    bomb = page_bomb(400_000, codec)
    file = pq.ParquetFile(io.BytesIO(bomb))
    assert file.metadata.num_rows == 10_000  # an honest file by its footer
    (tmp_path / "bomb.parquet").write_bytes(bomb)
    for source in (bomb, tmp_path / "bomb.parquet"):
        before = pa.total_allocated_bytes()
        with pytest.raises(InputError, match="unpack to more than its numbers"):
            read_eeg(source)
        assert pa.total_allocated_bytes() - before < 2**20


def test_many_values_in_few_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = np.zeros(100_000, np.float32)
    sink = io.BytesIO()
    pd.DataFrame({"Fp1": zeros}).to_parquet(sink)
    file = open_parquet(sink.getvalue(), "it")
    assert read_columns(file, ["Fp1"], "it")[0].shape == (1, 100_000)
    monkeypatch.setattr(parquet_pages, "MAX_VALUES", 99_999)
    with pytest.raises(InputError, match="more than 99999 values in one piece"):
        read_columns(file, ["Fp1"], "it")


def test_a_long_footer_is_refused() -> None:
    table = pa.table({"Fp1": [1.0]}).replace_schema_metadata({"note": "x" * 2**20})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    with pytest.raises(InputError, match="its footer has"):
        open_parquet(sink.getvalue(), "it")


def test_pages_add_up_to_what_an_honest_footer_says() -> None:
    content = eeg_to_parquet(np.random.default_rng(0).normal(size=(20, 3000)))
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    (rows,) = read_groups(pa.BufferReader(content))
    for place in leaves(metadata).values():
        chunk = read_chunk(pa.BufferReader(content), rows, place)
        stated = metadata.row_group(0).column(place).total_uncompressed_size
        assert 0 <= stated - chunk.n_bytes < 200  # the footer counts the header, too
        assert chunk.n_values == 3000
        assert not chunk.dictionary


def test_a_dictionary_is_noticed() -> None:
    content = run_length_bomb(1000)
    (rows,) = read_groups(pa.BufferReader(content))
    assert read_chunk(pa.BufferReader(content), rows, 0).dictionary


@given(st.binary(max_size=300))
def test_any_header_is_read_or_refused(data: bytes) -> None:
    try:
        fields, length = read_header(data)
    except PageError:
        return
    assert 0 < length <= len(data)
    assert isinstance(fields, dict)


@pytest.mark.parametrize(
    "header",
    [
        [0x15, 0, 0x15, 20, 0x15, 8, 0x05, 2, 2, 0],  # field 1 twice
        [0x16, 0, 0],  # the type as a 64-bit number, which a reader would skip
        [0x15, 0, 0x15, 0x80, 0x80, 0x80, 0x80, 0x20, 0],  # a size that 32 bits would cut to 0
        [0x5C] + [0x1C] * 40,  # structures without end
    ],
)
def test_headers_that_readers_understand_in_two_ways_are_refused(header: list[int]) -> None:
    with pytest.raises(PageError):
        read_header(bytes(header))


@given(st.data())
def test_a_spoiled_file_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(SPOILED)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(max(0, len(content) - 4000), len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert read_eeg(bytes(content)).size < 10**6
    except InputError:
        return


SPOILED = eeg_to_parquet(np.random.default_rng(0).normal(size=(20, 100)))
