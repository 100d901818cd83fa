"""The patch beside a version brings a checkout back byte by byte."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hms_pipeline.config import Paths
from hms_pipeline.registry.lineage import restore_commands
from hms_pipeline.tracking.checkout import CODE, git_changes, git_commit, is_known


def git(root: Path, *arguments: str, stdin: bytes | None = None) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, input=stdin).stdout.decode()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    root = tmp_path / "project"
    (root / "hms_pipeline" / "views").mkdir(parents=True)
    (root / "hms_pipeline" / "a.py").write_bytes(b"first = 1\nsecond = 2\n\n\n\n")
    (root / ".gitignore").write_text("__pycache__/\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "start")
    return Paths(root / "data", root / "artifacts", root / "params.yaml")


def restored(paths: Paths, target: Path, patch: bytes) -> Path:
    git(target.parent, "clone", "-q", str(paths.params.parent), str(target))
    git(target, "apply", "-", stdin=patch)
    return target


@pytest.mark.parametrize(
    "content",
    [b"first = 3\nsecond = 2\n\n\n\n", b"first = 1\r\nsecond\n", b"caf\xe9 = 1\n", b"\x00\x01"],
    ids=["blank context", "line ends", "latin-1", "binary"],
)
def test_a_changed_file_comes_back(paths, tmp_path, content):
    file = paths.params.parent / "hms_pipeline" / "a.py"
    file.write_bytes(content)
    git(paths.params.parent, "config", "diff.noprefix", "true")
    git(paths.params.parent, "config", "color.ui", "always")
    target = restored(paths, tmp_path / "clone", git_changes(paths, *CODE, "dvc.yaml"))
    assert (target / "hms_pipeline" / "a.py").read_bytes() == content
    assert git_commit(paths).endswith("+changes")


def test_a_new_file_counts_and_comes_back(paths, tmp_path):
    root = paths.params.parent
    commit = git(root, "rev-parse", "HEAD").strip()
    (root / "hms_pipeline" / "__pycache__").mkdir()
    (root / "hms_pipeline" / "__pycache__" / "a.pyc").touch()
    (root / "notes.txt").write_text("not code")
    assert git_commit(paths) == commit
    assert git_changes(paths, *CODE) == b""

    (root / "hms_pipeline" / "a.py").write_text("first = 4\n")
    new = {"views/new one.py": b"new = 1\n\n", "views/__init__.py": b"", "logo": b"\x00\xff"}
    for name, content in new.items():
        (root / "hms_pipeline" / name).write_bytes(content)
    assert git_commit(paths) == f"{commit}+changes"
    target = restored(paths, tmp_path / "clone", git_changes(paths, *CODE))
    assert {name: (target / "hms_pipeline" / name).read_bytes() for name in new} == new
    assert (target / "hms_pipeline" / "a.py").read_text() == "first = 4\n"


def test_the_lock_file_of_the_running_retrain_does_not_count(paths):
    root = paths.params.parent
    for name in ("dvc.lock", "data.dvc"):
        (root / name).write_text("schema: '2.0'\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "locked")
    commit = git(root, "rev-parse", "HEAD").strip()
    (root / "dvc.lock").write_text("stages: {}\n")
    assert git_commit(paths) == commit
    (root / "data.dvc").write_text("outs: []\n")
    assert git_commit(paths) == f"{commit}+changes"


def test_a_recipe_in_a_folder_sees_the_whole_checkout(paths):
    root = paths.params.parent
    (root / "recipes").mkdir()
    (root / "hms_pipeline" / "a.py").write_text("first = 5\n")
    elsewhere = Paths(paths.data, paths.artifacts, root / "recipes" / "full.yaml")
    assert git_commit(elsewhere).endswith("+changes")


def test_a_new_file_alone_marks_the_commit(paths):
    (paths.params.parent / "hms_pipeline" / "views" / "new.py").write_text("new = 1\n")
    assert git_commit(paths).endswith("+changes")


def test_no_checkout_is_unknown(tmp_path):
    paths = Paths(tmp_path / "data", tmp_path / "artifacts", tmp_path / "params.yaml")
    assert git_commit(paths) == "unknown (no git repository)"
    assert git_changes(paths, *CODE) == b""


def test_a_repository_without_a_commit_is_told(tmp_path):
    git(tmp_path, "init", "-q")
    paths = Paths(params=tmp_path / "params.yaml")
    assert git_commit(paths) == "unknown (the repository has no commit yet)"


def test_a_repository_that_git_refuses_is_told_from_none(paths, tmp_path, monkeypatch):
    refusing = tmp_path / "bin" / "git"
    refusing.parent.mkdir()
    said = "fatal: detected dubious ownership in repository at"
    refusing.write_text(f'#!/bin/sh\necho "{said} $2" >&2\nexit 128\n')
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}:{os.environ['PATH']}")
    found = git_commit(paths)
    assert found.startswith("unknown (git refuses another user's repository")
    assert not is_known(found)


def test_a_machine_without_git_is_told(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(paths) == "unknown (git is not installed)"


def test_a_version_of_unknown_code_offers_no_command(tmp_path):
    assert restore_commands({"git_commit": "unknown (no git repository)"}, tmp_path) == []
