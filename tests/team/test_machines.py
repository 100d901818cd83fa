"""One machine registers, another serves and scores, a third decides; none sees another's folder."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import requests

from benchmarks.postgres_s3 import free_ports
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.inference.client import PARQUET, encode_request
from hms_pipeline.schema import VOTE_COLUMNS

from ..ensembles import random_window
from .conftest import LOOPBACK, Machine, Team
from .network import lacking

pytestmark = [pytest.mark.team, pytest.mark.slow]
SERVED_WITHIN_S = 120


@contextlib.contextmanager
def served(machine: Machine) -> Iterator[str]:
    """``hms serve`` on a machine."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    log = machine.root / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            machine.command(sys.executable, "-m", "hms_pipeline", "serve", "--port", str(port)),
            cwd=machine.root, env=machine.environment, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        until = time.monotonic() + SERVED_WITHIN_S
        while True:
            with contextlib.suppress(requests.RequestException), machine.entered():
                requests.get(f"{url}/ping", timeout=2)
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.3)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        machine.said.append(log.read_text())


def ask(machine: Machine, url: str) -> np.ndarray:
    with machine.entered():
        answer = requests.post(
            f"{url}/invocations",
            data=encode_request([random_window(7)]),
            headers={"Content-Type": PARQUET},
            timeout=120,
        )
    assert answer.status_code == 200, answer.text
    rows = answer.json()["predictions"]
    return np.array([[row[name] for name in VOTE_COLUMNS] for row in rows])


def champion(machine: Machine) -> int:
    rows = json.loads(machine.hms("models", "--json"))
    (number,) = [row["version"] for row in rows if "champion" in row["aliases"]]
    return number


def process_lists() -> str:
    lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return "\n".join(lines)


def places_with(secrets: Sequence[str], folder: Path) -> list[Path]:
    """Files of a folder that hold a secret."""
    return [p for p in folder.rglob("*") if p.is_file() and holds(secrets, p.read_bytes())]


def holds(secrets: Sequence[str], content: bytes) -> bool:
    return any(secret.encode() in content for secret in secrets)


def test_a_version_travels_from_machine_to_machine(team: Team, machine) -> None:
    second, third = machine("second"), machine("third")
    work = second.root / "work"
    second.run(sys.executable, "-m", "tests.team.make_version", str(work))
    made = json.loads((work / "answer.json").read_text())
    assert made["verdicts"] == [[1, "promoted"], [2, "promoted"]]

    with served(third) as url:
        np.testing.assert_allclose(ask(third, url), made["probs"][1:], atol=1e-6, rtol=0)

    inbox = third.root / "inbox"
    inbox.mkdir()
    (inbox / "bed-4.parquet").write_bytes(eeg_to_parquet(random_window(7).eeg))
    third.hms("score", "inbox", "--out", "scores.csv")
    scores = pd.read_csv(third.root / "scores.csv")[list(VOTE_COLUMNS)].to_numpy()
    assert scores.shape == (1, 6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)

    assert champion(second) == 2
    third.hms("rollback", "--reason", "it is worse at night")
    assert champion(second) == champion(machine("first-again")) == 1
    fourth = machine("fourth")
    with served(fourth) as url:
        np.testing.assert_allclose(ask(fourth, url), made["probs"][:1], atol=1e-6, rtol=0)

    said = team.first.hms("doctor")
    for name in ("MLflow's database", "MLflow's files", "Prefect's database"):
        assert name in said
    assert "as hms" in said
    assert "as team" in said
    assert "knows 'team'" in said
    heads = [team.first, second, third]
    texts = [*(text for head in heads for text in head.said), process_lists()]
    assert not any(holds(team.secrets, text.encode()) for text in texts)
    assert not [found for head in heads for found in places_with(team.secrets, head.root)]
    assert not _objects_with(team, team.secrets)


def test_machines_share_nothing_but_addresses(team: Team, machine) -> None:
    if team.bridge is None:
        pytest.skip(str(lacking()))
    one, other = machine("one"), machine("other")
    one.run("test", "-e", str(one.root / "params.yaml"))
    for hidden in (other.root, team.first.root):
        one.run("test", "-e", str(hidden), code=1)
    ports = [team.backends.database_port, team.backends.store_port]
    for host in (LOOPBACK, team.host):
        for port in ports:
            with one.entered(), pytest.raises(OSError, match="refused"):
                socket.create_connection((host, port), 5)
    with one.entered():
        assert requests.get(f"{team.addresses['MLFLOW_TRACKING_URI']}/health", timeout=9).ok


def _objects_with(team: Team, secrets: Sequence[str]) -> list[str]:
    client, bucket = team.backends.client(), team.backends.bucket
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    assert keys
    texts = [key for key in keys if not key.endswith((".safetensors", ".py"))]
    return [
        key
        for key in texts
        if holds(secrets, client.get_object(Bucket=bucket, Key=key)["Body"].read())
    ]
