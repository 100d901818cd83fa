"""What a node of a Ray cluster does for a batch of folds; needs only Python, git and DVC there.

The function travels to the node by value, so the nodes need not have this module. A batch runs in
a workspace of its own: the code, DVC's files, and links to the inputs. Its finished folds go back
to the head through Ray.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class NodeJob:
    """A batch of folds for a node.

    Parameters
    ----------
    command : tuple of str
        What Python is to run there.
    inputs : tuple of str
        Stages whose outputs it reads.
    root : str
        The project, at the same path on every node (``shared``), or its git address.
    commit : str or None
        What to check out of git; None: ``root`` is a shared folder.
    files : dict of str to str
        Text files laid over the checkout, dvc.lock above all.
    env : dict of str to str
        Variables for the command.
    """

    command: tuple[str, ...]
    inputs: tuple[str, ...]
    root: str
    commit: str | None
    scratch: str
    time_limit_s: float
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


def run_on_node(job: NodeJob) -> Iterator[tuple[str, Any]]:
    """Train a batch of folds in a workspace of its own.

    Yields
    ------
    kind, value
        ``("node", name)``, then ``("line", text)`` as the training speaks, ``("fold", (key, {file:
        bytes}))`` for each finished fold, at the end ``("node", name)`` again, because after a
        node's death Ray gives only what is new, and ``("code", exit code)``.
    """
    import ray

    node = f"node {ray.get_runtime_context().get_node_id()[:8]} ({platform.node()})"
    yield "node", node
    workspace = Path(tempfile.mkdtemp(prefix="hms-ray-", dir=job.scratch))
    try:
        for command in prepare(job, workspace):
            yield from _run(command, workspace, job)
        code = yield from _run([sys.executable, *job.command], workspace, job, may_fail=True)
        for folder in sorted((workspace / "artifacts" / ".folds").glob("*/manifest.json")):
            files = {path.name: path.read_bytes() for path in sorted(folder.parent.iterdir())}
            yield "fold", (folder.parent.name, files)
        yield "node", node
        yield "code", code
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def prepare(job: NodeJob, workspace: Path) -> list[list[str]]:
    """Put the code and DVC's files in place; return the commands that fetch the inputs."""
    if job.commit:
        subprocess.run(["git", "clone", "-q", job.root, str(workspace)], check=True)
        subprocess.run(["git", "checkout", "-q", job.commit], cwd=workspace, check=True)
    else:
        copy_code(Path(job.root), workspace)
    for name, text in job.files.items():
        (workspace / name).write_text(text, encoding="utf-8")
    inputs = list(job.inputs)
    if job.commit:
        return [[*_dvc(), "pull", "-q", "--run-cache", *inputs]] if inputs else []
    cache = [*_dvc(), "config", "--local"]
    return [
        [*cache, "cache.dir", str(Path(job.root) / ".dvc" / "cache")],
        *([[*_dvc(), "checkout", "-q", *inputs]] if inputs else []),
    ]


def copy_code(root: Path, workspace: Path) -> None:
    """Copy what git tracks or would track, without large or derived files."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=root, encoding="utf-8", errors="replace")
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, workspace / name)
    for name in ("config", "config.local"):
        if (root / ".dvc" / name).exists():
            (workspace / ".dvc").mkdir(exist_ok=True)
            shutil.copy2(root / ".dvc" / name, workspace / ".dvc" / name)
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)


def _dvc() -> list[str]:
    return [sys.executable, "-m", "dvc"]


def _run(
    command: list[str], workspace: Path, job: NodeJob, may_fail: bool = False
) -> Generator[tuple[str, str], None, int]:
    """Run a command as a group of its own that ends with this generator, or with its time."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    child = subprocess.Popen(
        command,
        cwd=workspace,
        # The workspace's own code, wherever else the package may be installed on the node.
        env={
            # Kept from one workspace to the next, where nobody else can write.
            "TORCHINDUCTOR_CACHE_DIR": str(Path.home() / ".cache" / "hms-compiled"),
            **os.environ,
            **job.env,
            "PATH": path,
            "PYTHONPATH": str(workspace),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    timer = threading.Timer(job.time_limit_s, _end, [child.pid])
    timer.daemon = True
    timer.start()
    try:
        for text in child.stdout or ():
            if text.strip():
                yield "line", text.rstrip()
        code = child.wait()
    finally:
        timer.cancel()
        _end(child.pid)
        child.wait()
    if code and not may_fail:
        raise RuntimeError(f"{' '.join(command[2:])} exited with {code}")
    return code


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
