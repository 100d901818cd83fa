"""``hms serve``: MLflow's scoring protocol behind limits that hold before a body is parsed.

The ASGI application answers ``/ping``, ``/health``, ``/version`` and ``/metrics`` at once. A body
of ``/invocations`` is read and checked, waits for its turn, and goes to MLflow's own function.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import uvicorn
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from ...system.processes import release_memory
from ..package import load_served
from . import metrics
from .asgi import GoneError, Upload, answer
from .bodies import Limits, RefusedError, check_body, content_type_of, unfit
from .queue import FairQueue, Memory

log = logging.getLogger(__name__)
MODEL_ENV, VERSION_ENV, BODY_ENV = "HMS_SERVED_MODEL", "HMS_SERVED_VERSION", "HMS_MAX_BODY_MB"
# Bytes of a small body; memory is set apart for small ones, however many large ones there are.
SMALL = 4 * 2**20
KEEP_S = 30  # how long an idle connection is kept; longer than callers are told to wait
HELD_SMALL = 64 * 2**20  # bytes of small bodies held at once
HELD_LARGE = 1  # bodies of the largest size held at once, or more of smaller size


def serve(model: Path, version: int, *, host: str, port: int, workers: int, body_mb: int) -> None:
    """Serve a verified model folder until the process is told to end.

    Parameters
    ----------
    model : Path
    version : int
    host, port
        Where to listen.
    workers : int
        Processes; each holds the whole ensemble and scores one request at a time.
    body_mb : int, MB
        Largest body.
    """
    os.environ |= {MODEL_ENV: str(model), VERSION_ENV: str(version), BODY_ENV: str(body_mb)}
    with TemporaryDirectory() as folder:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            f"{__name__}:create_app", factory=True, host=host, port=port, workers=workers,
            http="h11", ws="none", log_level="warning", timeout_graceful_shutdown=10,
            timeout_keep_alive=KEEP_S,
        )  # fmt: skip


def create_app() -> Server:
    """The application of one worker, its model loaded."""
    folder = Path(os.environ[MODEL_ENV])
    sys.dont_write_bytecode = True  # a version of older code would leave some in its folder
    with _alone():
        model = load_served(folder)
    ensemble = model.unwrap_python_model()
    bundle = ensemble._predictor.bundle  # noqa: SLF001 - stored versions call it so
    ensemble.observe = partial(metrics.observe, members=list(bundle.members))
    metrics.MODEL.labels(os.environ[VERSION_ENV], bundle.content_hash).set(1)
    limits = Limits(
        n_bytes=int(os.environ[BODY_ENV]) * 2**20,
        rows=bundle.params.scoring.max_rows,
        cell=int(bundle.params.registry.max_cell_mb * 2**20),
    )
    return Server(model, limits)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hide this package from a model that loads: it refuses where another version is imported.

    Here this is safe. The model's code is imported under a name of its own, and only bytes and
    tables pass between the two.
    """
    name = __name__.partition(".")[0]
    package = sys.modules.pop(name)
    try:
        yield
    finally:
        sys.modules[name] = package


class Server:
    """The ASGI application.

    Parameters
    ----------
    model : PyFuncModel
    limits : Limits
        Of one request.
    """

    def __init__(self, model: Any, limits: Limits) -> None:
        self._model, self._limits = model, limits
        self._schema = model.metadata.get_input_schema()
        self._queue = FairQueue()
        # One of each, so that neither checks nor predictions add up in memory.
        self._checker, self._scorer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._small, self._large = Memory(HELD_SMALL), Memory(HELD_LARGE * limits.n_bytes)

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Answer one request, or the server's own start and end."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif (scope["method"], scope["path"]) == ("POST", "/invocations"):
            await self._invocations(Upload(scope, receive), send)
        elif scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, b"\n")
        elif scope["path"] in ("/ping", "/health"):
            await answer(send, 200, b"\n")
        elif scope["path"] == "/version":
            await answer(send, 200, mlflow.__version__.encode())
        elif scope["path"] == "/metrics":
            metrics.WAITING.set(self._queue.n_waiting)
            content, kind = metrics.text()
            await answer(send, 200, content, kind)
        else:
            await answer(send, 404, b"\n")

    async def _invocations(self, upload: Upload, send: Callable) -> None:
        start = time.perf_counter()
        try:
            content = await self._score(upload)
            metrics.REQUESTS.labels(200).inc()
            await answer(send, 200, content)
        except GoneError:
            metrics.REFUSALS.labels("gone").inc()
        except RefusedError as err:
            metrics.REQUESTS.labels(err.status).inc()
            metrics.REFUSALS.labels(err.reason).inc()
            if err.status < 500:
                self._queue.distrust(upload.client)
            headers = {} if err.retry_s is None else {"retry-after": str(err.retry_s)}
            content = _error(err.reason.upper(), str(err))
            await answer(send, err.status, content, upload=upload, headers=headers)
        metrics.SECONDS.observe(time.perf_counter() - start)

    async def _score(self, upload: Upload) -> bytes:
        kind = content_type_of(upload.headers.get("content-type", ""))
        length = upload.length(self._limits.n_bytes)
        self._queue.check(upload.client)
        loop = asyncio.get_running_loop()
        with (self._small if length <= SMALL else self._large).reserve(length):
            body = await upload.read(length)
            rows = await loop.run_in_executor(self._checker, check_body, kind, body, self._limits)
            await upload.unless_gone(self._queue.enter(rows, upload.client))
            try:  # also for a caller that has left: the place is free when the work is done
                return await loop.run_in_executor(self._scorer, self._invoke, kind, body)
            finally:
                self._queue.leave()

    def _invoke(self, kind: str, body: bytearray) -> bytes:
        try:
            found = scoring_server.invocations(body, kind, self._model, self._schema)
        except MlflowException as err:
            sentence = getattr(err, "_sentence", None)  # the model's own; MLflow's repeat the data
            if sentence is None:
                raise unfit() from None
            reason = "model" if err.get_http_status_code() < 500 else "failure"
            raise RefusedError(err.get_http_status_code(), reason, sentence) from None
        except Exception:  # MLflow's parsing of what is no table
            raise unfit() from None
        finally:
            release_memory()
        return found.response.encode()


def _error(code: str, sentence: str) -> bytes:
    return json.dumps({"error_code": code, "message": sentence}).encode()
