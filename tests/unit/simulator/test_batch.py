from __future__ import annotations

import os
import signal

import pytest

from hms_pipeline.simulator.batch import run_tasks
from hms_pipeline.system.errors import InputError


def kill_oneself(task: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    assert list(run_tasks(abs, range(-9, 0), workers)) == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_a_killed_worker_is_one_line() -> None:
    with pytest.raises(InputError, match="The simulation needs its 2 worker .* nothing of it"):
        list(run_tasks(kill_oneself, range(4), workers=2))
