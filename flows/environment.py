"""What every entry point sets, so that the tools agree and nothing calls home."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hms_pipeline.config.paths import Paths
from hms_pipeline.system.quiet import PATIENT, QUIET

Log = logging.Logger | logging.LoggerAdapter
# Leases on disk: a server that starts again still frees the slots of runs that were killed.
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
PREFECT = {
    # While its database is away a server answers 500; its client then asks again for a minute.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


def run_folder(root: Path) -> Path:
    """Folder of everything that lives only as long as processes do."""
    return root / ".run"


def project_root() -> Path:
    """The project that a flow works on: where ``HMS_ROOT`` points, else the current folder."""
    return Path(os.environ.get("HMS_ROOT", ".")).resolve()


def paths_of(root: Path) -> Paths:
    """Where the stages of the project in a folder read and write."""
    return Paths(root / "data", root / "artifacts", root / "params.yaml")


def prepare(root: Path) -> None:
    """Set this process's environment, before Prefect is imported. What is set already stays."""
    # Python's last collection walks everything that was imported, for seconds.
    atexit.register(gc.freeze)
    for name, value in {**QUIET, **PREFECT}.items():
        os.environ.setdefault(name, value)
    home = os.environ.setdefault("PREFECT_HOME", str(run_folder(root.absolute()) / "prefect"))
    Path(home).mkdir(parents=True, exist_ok=True)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python's collector rest while libraries are imported, and leave out later what is there.

    It would walk all that was imported again and again, for a fifth of the time of a short run.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def program_path() -> str:
    """The search path of programs, this Python's first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def stage_environment(**extra: str) -> dict[str, str]:
    """Environment of a stage's process: this Python's programs first, output unbuffered."""
    own = {**QUIET, "PATH": program_path(), "PYTHONUNBUFFERED": "1"}
    return {**PATIENT, **os.environ, **own, **extra}


def captured(
    command: Sequence[str], root: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command that asks nothing, and keep what it says."""
    return subprocess.run(
        command, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
