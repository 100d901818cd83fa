"""A pool of processes: what is said when one dies, and that none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from hms_pipeline.system.errors import InputError
from hms_pipeline.system.processes import THREADS, process_map, process_pool

PARENT = """
import os, time
from hms_pipeline.system.processes import process_pool
if __name__ == "__main__":
    with process_pool(2, "This test", "nothing stays") as pool:
        futures = [pool.submit(os.getpid), pool.submit(time.sleep, 60)]
        print(futures[0].result(), flush=True)
        time.sleep(60)
"""


def kill_oneself(_):
    os.kill(os.getpid(), signal.SIGKILL)


def make_slowly(folder):
    folder.mkdir()
    time.sleep(0.05)


def keep(values):
    os.environ["KEPT"] = " ".join(values)


def test_a_killed_worker_is_one_line():
    said = "This test needs its 2 worker processes, but one of them died, .* --workers .*; all is"
    with pytest.raises(InputError, match=said), process_pool(2, "This test", "all is well") as pool:
        list(pool.map(kill_oneself, range(3)))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("chunksize", [1, 4])
def test_a_map_gives_results_in_the_order_of_the_items(workers, chunksize):
    with process_map(workers, 9, "", "") as run:
        assert list(run(abs, range(-9, 0), chunksize=chunksize)) == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_a_map_over_little_work_starts_no_process():
    with process_map(8, 1, "", "") as run:
        assert list(run(lambda item: (item, os.getpid()), [3])) == [(3, os.getpid())]


def test_workers_have_one_thread_and_are_initialised(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    with process_pool(1, "", "", initializer=keep, initargs=(("a", "b"),)) as pool:
        assert [*pool.map(os.getenv, [*THREADS, "KEPT"])] == [*"111", "a b"]
    assert not os.environ.keys() & set(THREADS)


def test_an_error_leaves_what_has_not_begun_undone(tmp_path):
    folders = [tmp_path / str(number) for number in range(50)]
    with pytest.raises(FileExistsError), process_pool(1, "", "") as pool:
        list(pool.map(make_slowly, [tmp_path, *folders]))
    assert not folders[-1].exists()


def test_no_worker_outlives_a_killed_parent():
    """Workers write where the parent did: the pipe ends when all of them have ended."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        parent.communicate(timeout=20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
