"""A recording is all of its files: they give it its name, and none of them counts twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hms_pipeline.data.content import (
    anonymous_id,
    content_hash,
    files_of,
    list_recordings,
    parts_of,
)

FORMATS = [(".vhdr", ".eeg"), (".vhdr", ".vmrk"), (".set", ".fdt"), (".lay", ".dat")]
FORMATS += [(".cdt", ".cdt.dpa"), (".VHDR", ".EEG"), (".eeg", ".pnt")]


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text)
    return folder


def test_one_file_has_its_own_hash(tmp_path: Path) -> None:
    (tmp_path / "rec.edf").write_bytes(b"samples")
    (tmp_path / "rec.html").write_text("a report beside it")
    assert content_hash(tmp_path / "rec.edf") == hashlib.sha256(b"samples").hexdigest()


@pytest.mark.parametrize(("header", "data"), FORMATS)
def test_equal_headers_with_other_data_are_two_recordings(
    tmp_path: Path, header: str, data: str
) -> None:
    for folder in ("p1", "p2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"rec{header}").write_text("the same header")
        (tmp_path / folder / f"rec{data}").write_text(f"samples of {folder}")
    headers = [tmp_path / folder / f"rec{header}" for folder in ("p1", "p2")]
    assert len({content_hash(path) for path in headers}) == 2
    (tmp_path / "p2" / f"rec{data}").write_text("samples of p1")
    assert len({content_hash(path) for path in headers}) == 1


def test_a_header_may_name_files_of_another_stem(tmp_path: Path) -> None:
    write(tmp_path, rec_vhdr="[Common Infos]\nDataFile=scan.eeg\nMarkerFile=$b.vmrk\n")
    write(tmp_path, scan_eeg="samples", rec_vmrk="marks", other_eeg="of nobody")
    assert {p.name for p in parts_of(tmp_path / "rec.vhdr")} == {"scan.eeg", "rec.vmrk"}


def test_a_header_names_no_file_of_another_folder(tmp_path: Path) -> None:
    write(tmp_path, secret_txt="x")
    folder = write(tmp_path / "in", rec_vhdr="DataFile=../secret.txt\nMarkerFile=..\n")
    assert parts_of(folder / "rec.vhdr") == []


def test_files_of_a_header_are_no_recordings_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, rec_vhdr="h", rec_eeg="samples", rec_vmrk="marks", nihon_eeg="samples")
    (tmp_path / "rec.mff").mkdir()
    (tmp_path / "rec.mff" / "inside.edf").write_text("x")
    found = list_recordings(sorted(tmp_path.rglob("*")))
    assert [path.name for path in found] == ["nihon.eeg", "rec.mff", "rec.vhdr"]


def test_a_folder_is_a_recording_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.mff", "b.mff"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "signal1.bin").write_bytes(b"samples")
        (tmp_path / name / ".DS_Store").write_text(name)
    a, b = tmp_path / "a.mff", tmp_path / "b.mff"
    assert content_hash(a) == content_hash(b)
    assert [path.name for path in files_of(a)] == ["signal1.bin"]
    assert anonymous_id(a) == f"recording-{content_hash(a)[:12]}"
    (b / "signal1.bin").write_bytes(b"others")
    assert content_hash(a) != content_hash(b)


def test_what_cannot_be_read_has_a_name_without_its_own(tmp_path: Path) -> None:
    name = anonymous_id(tmp_path / "Wintergreen.edf")
    assert name.startswith("unreadable-")
    assert "Wintergreen" not in name
