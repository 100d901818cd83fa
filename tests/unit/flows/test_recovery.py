"""Leftovers of killed DVC processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from zc.lockfile import LockFile

from flows import recovery
from flows.recovery import clear_up, repair_rwlock


@pytest.fixture
def rwlock(tmp_path):
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("left", ["", '{"write": {"a": {"pid"', "[]", '{"write": {"a": {}}}'])
def test_unreadable_lock_of_paths_is_deleted(tmp_path, rwlock, left):
    rwlock.write_text(left)
    assert "Deleted" in repair_rwlock(tmp_path)
    assert not rwlock.exists()


def test_entries_of_the_dead_go_and_those_of_the_living_stay(tmp_path, rwlock, sleeper):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    entries = {
        name: {"pid": process.pid, "cmd": "dvc repro"}
        for name, process in (("dead", dead), ("living", sleeper("dvc")), ("reused", sleeper()))
    }
    rwlock.write_text(json.dumps({"write": entries, "read": {"x": [entries["living"]]}}))
    repair_rwlock(tmp_path)
    left = json.loads(rwlock.read_text())
    assert left == {"write": {"living": entries["living"]}, "read": {"x": [entries["living"]]}}


def test_nothing_to_repair(tmp_path, rwlock):
    assert repair_rwlock(tmp_path) is None
    rwlock.write_text('{"read": {}, "write": {}}')
    assert repair_rwlock(tmp_path) is None


def test_a_lock_of_paths_that_stays_taken_is_said_and_raises_nothing(tmp_path, rwlock, monkeypatch):
    rwlock.write_text("")
    monkeypatch.setattr(recovery, "WAIT_S", 0.05)
    holder = LockFile(str(rwlock.with_name("rwlock.lock")))  # as DVC holds it
    try:
        assert "another process has held it" in " ".join(clear_up(tmp_path))
    finally:
        holder.close()
    assert "Deleted" in " ".join(clear_up(tmp_path))


def test_unfinished_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".tmp-{dead.pid}-1-dvc.lock"
    kept = tmp_path / f".tmp-{os.getpid()}-1-dvc.lock"
    for path in (left, kept):
        path.touch()
    assert list(clear_up(tmp_path)) == []
    assert list(tmp_path.iterdir()) == [kept]
