"""Processes to look at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

SLEEP = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a process with further arguments and variables; it is ended with the test.

    It is given out once it speaks: for a moment after its start its arguments and its environment
    are still empty to those who look.
    """
    started = []

    def start(*arguments: str, **variables: str) -> subprocess.Popen:
        command = [sys.executable, "-c", SLEEP, *arguments]
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
