import pytest

from hms_pipeline.config.files import atomic, hash_bytes, hash_files, to_json, write_json


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
