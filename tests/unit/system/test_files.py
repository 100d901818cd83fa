import os
from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import (
    atomic,
    hash_bytes,
    hash_files,
    read_table,
    to_json,
    write_json,
)


def test_atomic_leaves_the_old_file_when_the_block_fails(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_in_the_middle() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_replaces_a_folder(tmp_path) -> None:
    path = tmp_path / "folder"
    for text in ("one", "two"):
        with atomic(path) as temporary:
            temporary.mkdir()
            (temporary / text).touch()
    assert [p.name for p in path.iterdir()] == ["two"]


def _replace(path) -> None:
    with atomic(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()


def test_atomic_replaces_the_folder_one_stands_in(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _replace(Path("."))
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]


def test_atomic_replaces_the_folder_that_a_link_points_to(tmp_path) -> None:
    folder, link = tmp_path / "far" / "folder", tmp_path / "link"
    folder.mkdir(parents=True)
    link.symlink_to(folder)
    _replace(link)
    assert link.is_symlink()
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert sorted(os.listdir(tmp_path)) == ["far", "link"]


def test_atomic_does_not_write_through_a_link_to_a_file(tmp_path) -> None:
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.write_text("old")
    link.symlink_to(shared)
    with atomic(link) as temporary:
        temporary.write_text("new")
    assert (shared.read_text(), link.read_text()) == ("old", "new")


def test_json_has_one_spelling(tmp_path) -> None:
    assert to_json({"b": 1, "a": 2}) == to_json({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_hashes_separate_parts_and_names(tmp_path) -> None:
    assert hash_bytes(b"ab", b"c") != hash_bytes(b"a", b"bc")
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    one = hash_files([tmp_path / "a"], tmp_path)
    assert one != hash_files([tmp_path / "b"], tmp_path)


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_a_damaged_table_is_one_sentence_with_its_path(tmp_path, keep: float) -> None:
    path = tmp_path / "windows.parquet"
    pd.DataFrame({"a": range(1000)}).to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"windows\.parquet needs to be a table"):
        read_table(path)
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "absent.parquet")
