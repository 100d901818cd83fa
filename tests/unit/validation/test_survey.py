"""The map over processes."""

import os
import signal

import pytest

from hms_pipeline.system.errors import InputError
from hms_pipeline.validation.survey import _mapper


def kill_oneself(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_one_line():
    with (
        pytest.raises(InputError, match="Validation needs its 2 worker processes, but one of them"),
        _mapper(2, 100) as run,
    ):
        list(run(kill_oneself, range(100), 4, None))


def test_every_item_is_done_while_this_process_works():
    called = []
    with _mapper(2, 100) as run:
        done = list(run(abs, range(-100, 0), 4, lambda: called.append(True)))
    assert sorted(done) == list(range(1, 101))
    assert called == [True]
