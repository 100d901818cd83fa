"""The server's application, asked as uvicorn asks it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.bombs import page_bomb, run_length_bomb
from hms_pipeline.inference.client import JSON, PARQUET
from hms_pipeline.registry.package import signature
from hms_pipeline.registry.serving import asgi, pool
from hms_pipeline.registry.serving.bodies import Limits, RefusedError
from hms_pipeline.registry.serving.model_code import Refusal
from hms_pipeline.registry.serving.pool import Scorers
from hms_pipeline.registry.serving.scorer import Scorer
from hms_pipeline.registry.serving.server import Server
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.system.errors import InputError

from . import processes

pytestmark = pytest.mark.filterwarnings("ignore")
LIMITS = Limits(n_bytes=2**20, rows=8, cell=2**18)


class Model:
    """Scores every row alike."""

    metadata = mlflow.models.Model(signature=signature())

    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []

    def predict(self, frame: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        self.frames.append(frame)
        if list(frame.columns) != ["eeg"]:
            raise mlflow.MlflowException(f"Failed to enforce schema of data {frame}")
        if frame["eeg"][0] == b"bad":
            raise Refusal("Row 0, column eeg: is bad.", error_code=1000)
        return pd.DataFrame(np.full((len(frame), 6), 1 / 6), columns=list(VOTE_COLUMNS))


def ask(
    server: Server, parts: Iterable[bytes], kind: str = PARQUET, length: int | None = None,
    path: str = "/invocations", method: str = "POST", ends: bool = True,
) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
    """Status, headers, body; ``ends`` False keeps the upload open for good."""

    arriving = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        arriving.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict:
        if not arriving:
            await asyncio.sleep(60)
        return arriving.pop(0)

    async def run() -> list[dict]:
        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        headers = [(b"content-type", kind.encode())]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        await server(scope, receive, send)
        return sent

    head, *rest = asyncio.run(run())
    headers = {name.decode(): text.decode() for name, text in head["headers"]}
    return head["status"], headers, b"".join(part.get("body", b"") for part in rest)


def table(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def server(model: Model) -> Server:
    return Server(Scorer(model, ["eegnet", "multi"]).answer, LIMITS)


def test_a_good_request_is_answered_as_mlflow_answers(server: Server) -> None:
    status, _, body = ask(server, [table(eeg=[b"one", b"two"])])
    assert status == 200
    assert json.loads(body)["predictions"] == [dict.fromkeys(VOTE_COLUMNS, 1 / 6)] * 2


ENDLESS = [b"x" * 2**16] * 1000
REFUSED = {
    "body stated too long": ([], PARQUET, 2**20 + 1, 413),
    "body chunked too long": (ENDLESS, PARQUET, None, 413),
    "page bomb": ([page_bomb(400_000)], PARQUET, None, 400),
    "dictionary of many rows": ([run_length_bomb(1_000_000)], PARQUET, None, 400),
    "repeated cells": ([table(eeg=pa.array([bytes(2**17)] * 8).dictionary_encode())] * 1, PARQUET,
                       None, 200),
    "repeated large cells": ([table(eeg=pa.array([bytes(2**18)] * 8).dictionary_encode())], PARQUET,
                             None, 413),
    "large cell": ([table(eeg=[bytes(2**19)])], PARQUET, None, 400),
    "nested": ([table(eeg=[[b"a"]])], PARQUET, None, 400),
    "no rows": ([table(eeg=pa.array([], pa.binary()))], PARQUET, None, 400),
    "many columns": ([table(**{f"c{k}": [1] for k in range(40)})], PARQUET, None, 400),
    "other column": ([table(secret=[b"4711"])], PARQUET, None, 400),
    "no parquet": ([b"secret-4711"], PARQUET, None, 400),
    "no JSON": ([b"secret-4711"], JSON, None, 400),
    "JSON of many values": ([b'{"inputs":[' + b"[]," * 400 + b"[]]}"], JSON, None, 400),
    "deep JSON": ([b"[" * 200], JSON, None, 400),
    "JSON of wide characters": ([b'{"inputs": "\\ud83d\\ude00"}'], JSON, None, 400),
    "CSV": ([b"eeg\n1\n"], "text/csv", None, 415),
    "other charset": ([b"{}"], f"{JSON}; charset=latin-1", None, 415),
    "bad cell": ([table(eeg=[b"bad"])], PARQUET, None, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_without_an_echo(server: Server, name: str) -> None:
    parts, kind, length, expected = REFUSED[name]
    status, _, body = ask(server, parts, kind, length)
    assert status == expected
    if status != 200:
        assert set(json.loads(body)) == {"error_code", "message"}
        assert b"4711" not in body
        assert b"PAR1" not in body


def test_the_models_own_sentence_reaches_the_caller(server: Server) -> None:
    body = ask(server, [table(eeg=[b"bad"])])[2]
    assert json.loads(body)["message"] == "Row 0, column eeg: is bad."


def test_bombs_never_reach_the_model(server: Server, model: Model) -> None:
    before = pa.total_allocated_bytes()
    ask(server, [page_bomb(400_000)])
    ask(server, [run_length_bomb(1_000_000)])
    assert not model.frames
    assert pa.total_allocated_bytes() - before < 2**20


def test_an_upload_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "PATIENCE_S", -0.9)
    monkeypatch.setattr(asgi, "DRAIN_S", 0.05)
    status, headers, _ = ask(server, [b"PAR1"], ends=False)
    assert (status, headers["connection"]) == (408, "close")


def test_cheap_questions_do_not_wait_and_nothing_comes_from_elsewhere(server: Server) -> None:
    async def busy() -> None:
        await server._queue.enter(1)

    asyncio.run(busy())
    for path in ("/ping", "/health", "/version"):
        assert ask(server, [], path=path, method="GET")[0] == 200
    for path in ("/docs", "/openapi.json", "/redoc", "/"):
        assert ask(server, [], path=path, method="GET")[0] == 404


def test_metrics_count_refusals_by_reason(server: Server) -> None:
    def refusals() -> float:
        text = ask(server, [], path="/metrics", method="GET")[2].decode()
        lines = [line for line in text.splitlines() if line.startswith("hms_refusals_total")]
        return next((float(line.split()[-1]) for line in lines if '"content_type"' in line), 0)

    before = refusals()
    ask(server, [b"a"], "text/csv")
    assert refusals() == before + 1


def test_members_left_out_are_counted(model: Model) -> None:
    used = ["eegnet; multi", "eegnet", "eegnet"]
    answering = Scorer(model, ["eegnet", "multi"])

    def predict(frame: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        answering.observed.append(pd.DataFrame({"members_used": used}))
        return pd.DataFrame(np.full((3, 6), 1 / 6), columns=list(VOTE_COLUMNS))

    model.predict = predict
    for _ in range(2):  # of this answer alone
        scored = answering.answer(PARQUET, bytearray(table(eeg=[b"a"] * 3)))
        assert (scored.windows, scored.left_out) == (3, {"multi": 2})


def test_a_process_that_dies_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SCORER", processes.__name__)
    scorers = Scorers(tmp_path, 1)
    first = scorers.answer(PARQUET, bytearray(b"go"))
    with pytest.raises(RefusedError) as refused:
        scorers.answer(PARQUET, bytearray(b"refuse"))
    assert (refused.value.status, refused.value.sentence) == (400, "Row 0 is bad.")
    assert scorers.answer(PARQUET, bytearray(b"go")) == first
    with pytest.raises(RefusedError) as died:
        scorers.answer(PARQUET, bytearray(b"die"))
    assert died.value.status == 500
    assert scorers.answer(PARQUET, bytearray(b"go")) != first


def test_a_process_that_ends_while_it_loads_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SCORER", processes.__name__)
    with pytest.raises(InputError, match="Give fewer --workers"):
        Scorers(tmp_path, 2).load(1)
