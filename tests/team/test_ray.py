"""Folds trained on Ray nodes that see neither the head's folder nor each other's."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.postgres_s3 import free_ports

from .conftest import Machine, Team, cloned, git

pytestmark = [
    pytest.mark.team,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("HMS_TEAM") != "whole", reason="minutes: HMS_TEAM=whole"),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to hide folders from a process"),
    pytest.mark.timeout(3600),
]
OBJECTS = 100_000_000  # bytes of a node's memory for what travels


@contextlib.contextmanager
def node(env: Mapping[str, str], hidden: list[Path], *arguments: str) -> Iterator[None]:
    """A Ray node to which some folders are empty and its own, as they are on another machine."""
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    ray += [f"--object-store-memory={OBJECTS}", *arguments]
    hide = "".join(f"mount -t tmpfs none {shlex.quote(str(path))} && " for path in hidden)
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f'{hide} exec "$@"', "sh", *ray],
        env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def test_nodes_without_a_shared_folder_hand_folds_back(
    team: Team, origin: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    keys, address = team.backends.store_keys, f"127.0.0.1:{port}"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    author = cloned(origin, tmp_path / "author-of-ray", {})
    recipe = author.root / "params.yaml"
    text = recipe.read_text().replace("exchange: shared", "exchange: remote")
    recipe.write_text(text.replace("scratch: /tmp", f"scratch: {scratch}"))
    git(author, "commit", "-q", "-a", "-m", "nodes of their own")
    git(author, "push", "-q", "origin", "HEAD:main")
    head = cloned(origin, tmp_path / "head", {**team.addresses, **keys, "RAY_ADDRESS": address})
    worker = Machine(tmp_path, {**keys, "PYTHONPATH": os.environ.get("PYTHONPATH", "")})

    at = "--node-ip-address=127.0.0.1"
    first = ("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", at)
    more = (f"--address={address}", "--num-cpus=1", at)
    hidden = [head.root, scratch]
    with contextlib.ExitStack() as nodes:
        nodes.enter_context(node(worker.environment, [], *first))
        for _ in range(2):
            nodes.enter_context(node(worker.environment, hidden, *more))
        head.run(sys.executable, "-m", "dvc", "pull", "-q", "data.dvc")
        said = head.run(
            sys.executable, "-m", "flows.retrain", "--engine", "ray", "--until", "train"
        )

    assert len(set(re.findall(r"runs on node (\w+)", said))) == 2
    made = {path.parent.name for path in (head.root / "artifacts/.folds").glob("*/manifest.json")}
    linked = list((head.root / "artifacts/members").glob("*/fold-*/weights.safetensors"))
    assert len(made) == len(linked) == 4
    assert "up to date" in head.run(
        sys.executable, "-m", "dvc", "status", "train@eegnet", "train@v2s-spec"
    )
    assert not list(scratch.iterdir())
