from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms_pipeline.data.own.labels import ONE_READER, read_labels
from hms_pipeline.data.own.texts import SEPARATORS, read_texts
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.system.errors import InputError


def _write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_any_usual_encoding_and_separator_reads_the_same(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    rows = [["File", " start_s", "class", "reader"], ["müller.edf", "12.5", "LPD", "Äpfel"]]
    text = "".join(separator.join(row) + "\r\n" for row in rows)
    table = read_texts(_write(tmp_path / "labels.csv", text, encoding))
    assert table.to_dict("records") == [
        {"file": "müller.edf", "start_s": "12.5", "class": "LPD", "reader": "Äpfel"}
    ]


def test_decimal_commas_and_excels_first_line(tmp_path: Path) -> None:
    text = "sep=;\nfile;start_s;class\na.edf;12,5;gpd\n"
    (label,) = read_labels(_write(tmp_path / "labels.csv", text)).by_file["a.edf"]
    assert (label.when, label.votes, label.reader) == (12.5, (0, 0, 1, 0, 0, 0), ONE_READER)
    assert label.row == 3  # as a spreadsheet numbers it


def test_rows_keep_their_spreadsheet_numbers_past_blank_lines(tmp_path: Path) -> None:
    text = "file,start_s,class\n\na.edf,1,lpd\n,,\nb.edf,2,gpd\n"
    labels = read_labels(_write(tmp_path / "labels.csv", text))
    assert [label.row for found in labels.by_file.values() for label in found] == [3, 5]


@given(
    st.lists(
        st.tuples(st.text(st.characters(categories=("L", "N")), min_size=1), st.text(",;\t\"' ab")),
        min_size=1,
        max_size=5,
    )
)
def test_quoted_cells_come_back(tmp_path_factory: pytest.TempPathFactory, cells: list) -> None:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    path = tmp_path_factory.mktemp("quoted") / "labels.csv"
    text = "file,text\n" + "".join(f"{quoted(a)},{quoted(b)}\n" for a, b in cells)
    table = read_texts(_write(path, text))
    assert list(table["file"]) == [a.strip() for a, _ in cells]
    assert list(table["text"]) == [b.strip() for _, b in cells]


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ("a.edf,10,siezure", "class", "Unknown class 'siezure'. Choose one of ['seizure', 'lpd'"),
        ("a.edf,soon,lpd", "time", "'soon'"),
        ("a.edf,inf,lpd", "time", "'inf'"),
        ("a.edf,,lpd", "time", "''"),
        (",10,lpd", "file", "name of a file"),
    ],
)
def test_a_bad_row_costs_one_row(tmp_path: Path, row: str, kind: str, words: str) -> None:
    text = f"file,start_s,class\na.edf,1,lpd\n{row}\n"
    labels = read_labels(_write(tmp_path / "labels.csv", text))
    assert len(labels.by_file["a.edf"]) == 1
    (left,) = labels.left_out
    assert (left.row, left.kind) == (3, kind)
    assert words in left.reason


@pytest.mark.parametrize("votes", ["1,x,0,0,0,0", "0,0,0,0,0,0", "-1,2,0,0,0,0", "0.5,0,0,0,0,0"])
def test_votes_are_whole_and_not_all_zero(tmp_path: Path, votes: str) -> None:
    header = f"file,start_s,{','.join(VOTE_COLUMNS)}\n"
    text = f"{header}a.edf,1,3,,1,0,0,0\na.edf,2,{votes}\n"
    labels = read_labels(_write(tmp_path / "labels.csv", text))
    (label,) = labels.by_file["a.edf"]
    assert label.votes == (3, 0, 1, 0, 0, 0)
    assert label.reader is None
    assert [left.kind for left in labels.left_out] == ["votes"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,class\na.edf,lpd\n", "start_s or onset"),
        ("file,start_s\na.edf,1\n", "class or the six"),
        (f"file,start_s,class,{','.join(VOTE_COLUMNS)}\n", "class or the six"),
        ("file,start_s,onset,class\n", "start_s or onset"),
        ("name,start_s,class\n", "needs file, but"),
        ("file,start_s,start_s,class\n", "twice"),
        ("text\nx\n", "column class"),
        ("text,class\nx,spike\n", "unknown class 'spike'"),
        ("text,class\nx,lpd\nX,gpd\n", "'X' again"),
        ("", "CSV"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_labels(_write(tmp_path / "labels.csv", text))


def test_texts_of_annotations(tmp_path: Path) -> None:
    text = "text,class,reader\nSz (AB),Seizure,AB\nPLEDs,lpd,\n"
    labels = read_labels(_write(tmp_path / "texts.csv", text))
    assert labels.texts == {
        "sz (ab)": ("AB", (1, 0, 0, 0, 0, 0)),
        "pleds": ("", (0, 1, 0, 0, 0, 0)),
    }


def test_patients_stand_in_one_place(tmp_path: Path) -> None:
    texts = _write(tmp_path / "texts.csv", "text,class\nx,lpd\n")
    table = _write(tmp_path / "labels.csv", "file,start_s,class,patient\na.edf,1,lpd,P1\n")
    patients = _write(tmp_path / "patients.csv", "file;patient\na.edf;P7\nb.edf;P7\n")
    assert read_labels(texts, patients).patients == {"a.edf": {"P7"}, "b.edf": {"P7"}}
    assert read_labels(table).patients == {"a.edf": {"P1"}}
    with pytest.raises(InputError, match="one place"):
        read_labels(table, patients)
    with pytest.raises(InputError, match="file and patient"):
        read_labels(texts, texts)


def test_a_missing_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")
