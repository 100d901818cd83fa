"""Runs whose process ended without closing them: the next run closes them as KILLED."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from ..config import Paths
from ..system.processes import alive, birth
from .store import is_own

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PROCESS = "hms.process"  # a run's tag: host, pid and birth of the process that made it
CHECKOUT = "hms.checkout"  # a run's tag: the checkout it belongs to


def made_here(paths: Paths) -> dict[str, str]:
    """Tags of a run that this process makes."""
    process = f"{socket.gethostname()} {os.getpid()} {birth(os.getpid())}"
    return {PROCESS: process, CHECKOUT: str(paths.mlruns.resolve())}


def is_gone(process: str) -> bool:
    """Whether a process of this machine has ended; of another machine's nothing is known."""
    host, pid, born = process.rsplit(" ", 2)
    return host == socket.gethostname() and not alive(int(pid), born)


def close_killed(
    client: MlflowClient, paths: Paths, experiment: str, kinds: tuple[str, ...]
) -> list[str]:
    """End the runs of some kinds whose process is gone; on a shared server only this checkout's.

    Parameters
    ----------
    client : MlflowClient
    paths : Paths
    experiment : str
        Its id.
    kinds : tuple of str
        Values of the tag ``hms.kind``.

    Returns
    -------
    list of str
        Ids of the runs that were closed.
    """
    running: list[Run] = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    closed = [
        run.info.run_id
        for run in running
        if run.data.tags.get("hms.kind") in kinds
        and (is_own(paths) or run.data.tags.get(CHECKOUT) == str(paths.mlruns.resolve()))
        and PROCESS in run.data.tags
        and is_gone(run.data.tags[PROCESS])
    ]
    for run_id in closed:
        client.set_terminated(run_id, "KILLED")
    return closed
