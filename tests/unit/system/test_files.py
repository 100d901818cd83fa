import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import (
    atomic,
    hash_bytes,
    hash_files,
    naming,
    read_sealed,
    read_table,
    to_json,
    write_json,
    write_sealed,
    write_table,
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


def flipped(path: Path, n: int) -> bytes:
    """The content with one bit turned, another for every ``n``."""
    content = bytearray(path.read_bytes())
    bit = int(np.random.default_rng(n).integers(8 * len(content)))
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def test_a_flipped_bit_of_a_table_changes_nothing_unsaid(tmp_path):
    path = tmp_path / "windows.parquet"
    table = pd.DataFrame(
        {
            "id": range(50),
            "share": np.linspace(0, 1, 50).astype(np.float32),
            "gap": [np.nan, 1.5] * 25,
            "kept": [True, False] * 25,
            "rule": ["ä", "b", "", None, "e"] * 10,
        }
    )
    write_table(path, table, {"note": "x"})
    sound, refused = path.read_bytes(), 0
    expected = read_table(path)
    pd.testing.assert_frame_equal(read_table(path, ["rule", "id"]), expected[["rule", "id"]])
    assert expected["gap"].equals(table["gap"])
    for n in range(100):
        path.write_bytes(flipped(path, n))
        try:
            pd.testing.assert_frame_equal(read_table(path), expected)
        except InputError:
            refused += 1
        path.write_bytes(sound)
    assert refused > 50  # a flip in what nobody reads, such as statistics, is none


def test_a_table_without_a_column_that_is_asked_for_is_refused(tmp_path):
    write_table(tmp_path / "a.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match=r"a\.parquet needs to be a table"):
        read_table(tmp_path / "a.parquet", ["b"])


def test_a_flipped_bit_of_sealed_json_is_refused(tmp_path):
    path = tmp_path / "weights.json"
    write_sealed(path, {"kl": 0.123456789, "members": ["a", "b"], "ü": None})
    sound = path.read_bytes()
    assert read_sealed(path, "x") == {"kl": 0.123456789, "members": ["a", "b"], "ü": None}
    for n in range(100):
        path.write_bytes(flipped(path, n))
        with pytest.raises(InputError, match=r"weights\.json"):
            read_sealed(path, "hms ensemble")
        path.write_bytes(sound)


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "a.json"
    code = f"""
import os, pathlib
from hms_pipeline.system.files import atomic
with atomic(pathlib.Path({str(path)!r})) as temporary:
    temporary.write_text("half")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    write_json(path, {})
    assert list(tmp_path.iterdir()) == [path]


def fill(*named: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", *named)


@pytest.mark.parametrize("named", [False, True])
def test_an_error_of_the_disk_names_the_file_that_was_to_be_written(tmp_path, named, monkeypatch):
    """On a read-only disk even the removal of what is not there is an error of its own."""

    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    path = tmp_path / "params.yaml"
    with pytest.raises(OSError, match="No space") as error, atomic(path) as temporary:
        fill(*[str(temporary)] if named else [])
    assert error.value.filename == str(path)


def test_an_error_without_a_file_gets_one(tmp_path):
    with pytest.raises(OSError, match="No space") as error, naming(tmp_path / "a"):
        fill()
    assert error.value.filename == str(tmp_path / "a")
