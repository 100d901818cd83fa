"""A process for calls that may crash, hang, or ask for too much."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from hms_pipeline.data.formats.format import UnavailableError
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.worker import ROOT, Worker, WorkerError

MODULE = "tests.misbehaving"
SOON = 30


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(MODULE, 2**28) as found:
        yield found


def test_calls_are_answered_by_one_process_that_is_another(worker: Worker) -> None:
    pids = {worker.call("process_id", timeout_s=SOON) for _ in range(3)}
    assert len(pids) == 1
    assert pids != {os.getpid()}
    assert worker.call("add", 2, 3, timeout_s=SOON) == 5


def test_sentences_come_back_as_their_kind(worker: Worker) -> None:
    with pytest.raises(InputError, match="give another") as caught:
        worker.call("refuse", "give another", timeout_s=SOON)
    assert not isinstance(caught.value, UnavailableError)
    with pytest.raises(UnavailableError, match="later"):
        worker.call("not_now", "later", timeout_s=SOON)


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        ("die", ("SIGSEGV",), "ended by SIGSEGV"),
        ("die", ("SIGKILL",), "ended by SIGKILL"),
        ("leave", (3,), "ended with exit status 3"),
        ("raise_anything", (), "ended with exit status 1"),
    ],
)
def test_its_end_is_an_error_and_the_next_call_starts_another(
    worker: Worker, function: str, args: tuple, said: str
) -> None:
    with pytest.raises(WorkerError, match=said):
        worker.call(function, *args, timeout_s=SOON)
    assert worker.call("add", 1, 1, timeout_s=SOON) == 2


def test_one_that_does_not_answer_is_ended(worker: Worker) -> None:
    pid = worker.call("process_id", timeout_s=SOON)
    with pytest.raises(WorkerError, match="no answer for 1 s"):
        worker.call("hang", timeout_s=1)
    assert not psutil.pid_exists(pid)


def test_memory_is_limited(worker: Worker) -> None:
    assert worker.call("ask_for", 2**26, timeout_s=SOON) == 2**26
    with pytest.raises(InputError, match="too much"):
        worker.call("ask_for", 2**29, timeout_s=SOON)


def test_it_ends_with_its_parent(tmp_path) -> None:
    """Also in the middle of a call, when the parent is killed."""
    program = (
        "import sys\n"
        "from hms_pipeline.system.worker import Worker\n"
        f"worker = Worker({MODULE!r}, 2**28)\n"
        "print(worker.call('process_id', timeout_s=30), flush=True)\n"
        "worker.call('hang', timeout_s=600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    with parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)
