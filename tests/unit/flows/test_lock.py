"""One holder at a time; a killed holder leaves its record and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from flows.lock import exclusive
from hms_pipeline.system.errors import InputError

HOLDER = """
import sys, time
from pathlib import Path
from flows.lock import exclusive
with exclusive(Path(sys.argv[1]), wait_s=0) as held:
    held.record(flow_run="abc")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    path = tmp_path / "retrain.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_holder_is_refused_and_told_of_the_first(holder):
    path, process = holder
    first = f"process {process.pid}, flow run abc"
    with pytest.raises(InputError, match=first), exclusive(path, wait_s=0):
        pytest.fail("two hold the lock")


def test_second_holder_waits_when_it_may(holder):
    path, process = holder
    told = []
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(InputError), exclusive(path, wait_s=0.2, waiting=told.append):
        pytest.fail("a stopped holder still holds")
    assert len(told) == 1
    assert told[0].startswith("Queued")
    process.kill()
    with exclusive(path, wait_s=10):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_killed_holder_leaves_its_record(holder):
    path, process = holder
    process.kill()
    process.wait()
    with exclusive(path, wait_s=1) as held:
        assert held.previous == {"pid": process.pid, "flow_run": "abc"}


def test_ended_holder_leaves_none(tmp_path):
    path = tmp_path / "retrain.lock"
    with pytest.raises(ZeroDivisionError), exclusive(path, wait_s=0):
        _ = 1 / 0
    with exclusive(path, wait_s=0) as held:
        assert held.previous is None


def test_waiting_ends_as_soon_as_the_lock_is_free(holder):
    path, process = holder
    process.kill()
    begin = time.monotonic()
    with exclusive(path, wait_s=30):
        assert time.monotonic() - begin < 5
