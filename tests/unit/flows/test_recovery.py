"""Leftovers of killed DVC processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from zc.lockfile import LockFile

from flows import recovery
from flows.recovery import is_cut, keep_lock, repair_lock, repair_rwlock, repairs

WHOLE = {
    "schema": "2.0",
    "stages": {
        "split": {"cmd": "x", "outs": [{"path": "a", "hash": "md5", "md5": "0", "size": 1}]}
    },
}


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


def test_entries_of_the_dead_go_and_those_of_the_living_stay(tmp_path, rwlock):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)", "dvc"])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        entries = {
            name: {"pid": process.pid, "cmd": "dvc repro"}
            for name, process in (("dead", dead), ("living", living), ("reused", other))
        }
        rwlock.write_text(json.dumps({"write": entries, "read": {"x": [entries["living"]]}}))
        repair_rwlock(tmp_path)
        left = json.loads(rwlock.read_text())
    finally:
        for process in (living, other):
            process.kill()
            process.wait()
    assert left == {"write": {"living": entries["living"]}, "read": {"x": [entries["living"]]}}


def test_nothing_to_repair(tmp_path, rwlock):
    assert repair_rwlock(tmp_path) is None
    rwlock.write_text('{"read": {}, "write": {}}')
    assert repair_rwlock(tmp_path) is None


def test_every_cut_of_dvc_lock_is_replaced_or_readable(tmp_path):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    text = yaml.safe_dump(WHOLE)
    lock.write_text(text)
    keep_lock(tmp_path, keep)
    for cut in range(len(text)):
        lock.write_text(text[:cut])
        repair_lock(tmp_path, keep)
        assert yaml.safe_load(lock.read_text())["stages"].keys() == WHOLE["stages"].keys()
        assert len(yaml.safe_load(lock.read_text())["stages"]["split"]["outs"]) == 1


def test_whole_dvc_lock_stays(tmp_path):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    grown = {**WHOLE, "stages": {**WHOLE["stages"], "train": {"cmd": "y"}}}
    lock.write_text(yaml.safe_dump(grown))
    assert repair_lock(tmp_path, keep) is None
    assert yaml.safe_load(lock.read_text()) == grown


def test_what_others_wrote_after_a_kill_stays(tmp_path):
    """A cut by one process, an entry by a second, before the first one's end is noticed."""
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    added = {"train": {"cmd": "y", "outs": [{"path": "b"}]}}
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": added}))
    keep_lock(tmp_path, keep)
    assert yaml.safe_load(keep.read_text()) == WHOLE
    assert "entries back" in repair_lock(tmp_path, keep)
    assert yaml.safe_load(lock.read_text()) == {"schema": "2.0", "stages": WHOLE["stages"] | added}
    keep_lock(tmp_path, keep)
    assert keep.read_text() == lock.read_text()


def test_an_entry_of_another_command_stays(tmp_path):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    other = {"schema": "2.0", "stages": {"split": {"cmd": "y", "deps": [{"path": "c"}]}}}
    lock.write_text(yaml.safe_dump(other))
    assert repair_lock(tmp_path, keep) is None
    assert yaml.safe_load(lock.read_text()) == other


@pytest.mark.parametrize("stages", [{}, {"split": {"cmd": "x", "outs": [{"path": "a"}]}}])
def test_what_dvc_reads_is_not_cut(tmp_path, stages):
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    assert not is_cut(tmp_path)


def test_cut_dvc_lock_of_a_first_run_is_deleted(tmp_path):
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  split:\n    cm")
    assert "Deleted" in repair_lock(tmp_path, tmp_path / "kept")
    assert not (tmp_path / "dvc.lock").exists()


def test_without_a_kill_a_shorter_dvc_lock_is_somebodys_doing(tmp_path):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    fewer = yaml.safe_dump({"schema": "2.0", "stages": {}})
    lock.write_text(fewer)
    assert list(repairs(tmp_path, keep, killed=False)) == []
    assert lock.read_text() == fewer
    keep_lock(tmp_path, keep, anew=True)
    assert keep.read_text() == fewer


def test_repairs_go_on_past_a_lock_that_another_process_holds(tmp_path, rwlock, monkeypatch):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    lock.write_text("")
    rwlock.write_text("")
    monkeypatch.setattr(recovery, "WAIT_S", 0.05)
    holders = [LockFile(str(rwlock.with_name(name))) for name in ("rwlock.lock", "lock")]
    try:
        said = list(repairs(tmp_path, keep, killed=True))
    finally:
        for holder in holders:
            holder.close()
    assert [line.split()[0] for line in said] == [".dvc/tmp/rwlock", "dvc.lock"]
    assert all("stays locked" in line and "next retrain" in line for line in said)
    assert lock.read_text() == ""


def test_conflict_marks_in_dvc_lock_are_left_to_a_person(tmp_path):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    conflict = "<<<<<<< ours\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> theirs\n"
    lock.write_text(conflict)
    assert is_cut(tmp_path)
    assert repair_lock(tmp_path, keep) is None
    assert lock.read_text() == conflict


def test_dvc_lock_is_not_replaced_while_dvc_may_write_it(tmp_path):
    lock, keep = tmp_path / "dvc.lock", tmp_path / "kept"
    lock.write_text(yaml.safe_dump(WHOLE))
    keep_lock(tmp_path, keep)
    lock.write_text("")
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    held = LockFile(str(tmp_path / ".dvc" / "tmp" / "lock"))  # as DVC holds it
    with ThreadPoolExecutor(1) as pool:
        repair = pool.submit(repair_lock, tmp_path, keep)
        time.sleep(0.3)
        assert lock.read_text() == ""
        held.close()
        assert "entries back" in repair.result()
    assert yaml.safe_load(lock.read_text()) == WHOLE


def test_stages_that_end_together_keep_the_lock_whole(tmp_path):
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(WHOLE))
    keep = tmp_path / "kept" / "dvc.lock"
    with ThreadPoolExecutor(4) as pool:
        for kept in [pool.submit(keep_lock, tmp_path, keep) for _ in range(100)]:
            kept.result()
    assert yaml.safe_load(keep.read_text()) == WHOLE
    assert [path.name for path in keep.parent.iterdir()] == ["dvc.lock"]
