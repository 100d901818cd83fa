"""``hms serve``: MLflow's scoring protocol behind limits that hold before a body is parsed.

The ASGI application answers ``/ping``, ``/health``, ``/version`` and ``/metrics`` at once. A body
of ``/invocations`` is read, waits to be checked, waits for its turn, and goes to a process that
holds the model.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.metadata import version as version_of
from pathlib import Path
from socket import socket
from typing import TypeVar

import uvicorn

from ...system.errors import InputError
from . import metrics
from .asgi import PAUSE_S, SLOW_S, GoneError, Upload, answer
from .bodies import Limits, RefusedError, check_body, content_type_of
from .pool import Scored, Scorers
from .queue import FairQueue, Memory

T = TypeVar("T")
ROOT = Path(__file__).parents[3]  # the folder that the package lies in
# Bytes of a small body; memory is set apart for small ones, however many large ones there are.
SMALL = 4 * 2**20
KEEP_S = 30  # how long an idle connection is kept; longer than callers are told to wait
HELD_SMALL = 64 * 2**20  # bytes of small bodies held at once
HELD_LARGE = 1  # bodies of the largest size held at once, or more of smaller size


def serve(
    model: Path, version: int, *, host: str, port: int, workers: int, body_mb: int, temporary: bool
) -> None:
    """Serve a verified model folder until the process is told to end.

    The process replaces itself by a fresh one, without the model and the modules that verified it.

    Parameters
    ----------
    model : Path
    version : int
    host, port
        Where to listen.
    workers : int
        Processes that each hold the whole ensemble and score one request at a time.
    body_mb : int, MB
        Largest body.
    temporary : bool
        Whether the folder above the model's is removed at the end.
    """
    arguments = [str(model.resolve()), version, host, port, workers, body_mb, int(temporary)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", __name__, *map(str, arguments)]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606


def _main(model: str, version: str, host: str, port: str, *numbers: str) -> None:
    workers, body_mb, temporary = map(int, numbers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn's own comes before
    try:
        scorers = Scorers(Path(model), workers)
        content_hash, limits = scorers.load(body_mb * 2**20)
        metrics.MODEL.labels(version, content_hash).set(1)
        answering = Server(scorers.answer, limits, workers)
        config = uvicorn.Config(
            answering, host=host, port=int(port), http="h11", ws="none", log_level="warning",
            timeout_graceful_shutdown=10, timeout_keep_alive=KEEP_S,
        )  # fmt: skip
        with suppress(KeyboardInterrupt):  # uvicorn has ended in order then
            Listener(config).run()
    except InputError as err:
        sys.exit(f"hms: {err}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if temporary:
            shutil.rmtree(Path(model).parent, ignore_errors=True)


class Listener(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, or end the process where the address is taken."""
        await super().startup(sockets)
        if self.started:
            host = self.config.host
            host = f"[{host}]" if ":" in host else host
            with suppress(OSError):  # nobody reads it
                sys.stdout.write(f"Serving on http://{host}:{self.config.port}\n")
                sys.stdout.flush()


class Server:
    """The ASGI application.

    Parameters
    ----------
    score : callable
        Content type and body → answer; it waits, and raises ``RefusedError``.
    limits : Limits
        Of one request.
    n : int
        Requests that are scored at once.
    """

    def __init__(
        self, score: Callable[[str, bytearray], Scored], limits: Limits, n: int = 1
    ) -> None:
        self._score, self._limits = score, limits
        # Checks, one at a time so that they do not add up in memory, and scoring have queues of
        # the same rules: what a client is known for counts in both.
        self._checks, self._queue = FairQueue(), FairQueue(n)
        self._checks.faulty = self._queue.faulty
        self._checker, self._scorer = ThreadPoolExecutor(1), ThreadPoolExecutor(n)
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
            await answer(send, 200, version_of("mlflow").encode())
        elif scope["path"] == "/metrics":
            metrics.WAITING.set(self._checks.n_waiting + self._queue.n_waiting)
            content, kind = metrics.text()
            await answer(send, 200, content, kind)
        else:
            await answer(send, 404, b"\n")

    async def _invocations(self, upload: Upload, send: Callable) -> None:
        start = time.perf_counter()
        try:
            content = await self._answer(upload)
            metrics.REQUESTS.labels(200).inc()
            await answer(send, 200, content)
        except GoneError:
            metrics.REFUSALS.labels("gone").inc()
        except RefusedError as err:
            metrics.REQUESTS.labels(err.status).inc()
            metrics.REFUSALS.labels(err.reason).inc()
            known = self._queue.is_distrusted(upload.client)
            if err.status < 500:
                self._queue.distrust(upload.client)
            headers = {} if err.retry_s is None else {"retry-after": str(err.retry_s)}
            content = _error(err.reason.upper(), err.sentence)
            await answer(
                send, err.status, content, upload=upload, pause_s=SLOW_S if known else PAUSE_S,
                headers=headers,
            )  # fmt: skip
        metrics.SECONDS.observe(time.perf_counter() - start)

    async def _answer(self, upload: Upload) -> bytes:
        kind = content_type_of(upload.headers.get("content-type", ""))
        length = upload.length(self._limits.n_bytes)
        for queue in (self._checks, self._queue):
            queue.check(upload.client)
        memory = self._small if length <= SMALL else self._large
        with memory.reserve(length, upload.client):
            body = await upload.read(length)
            check = partial(check_body, kind, body, self._limits)
            rows = await self._turn(self._checks, 1, upload, self._checker, check)
            score = partial(self._score, kind, body)
            scored = await self._turn(self._queue, rows, upload, self._scorer, score)
        metrics.WINDOWS.inc(scored.windows)
        for member, n in scored.left_out.items():
            metrics.LEFT_OUT.labels(member).inc(n)
        return scored.content

    async def _turn(
        self, queue: FairQueue, n_windows: int, upload: Upload, executor: ThreadPoolExecutor,
        work: Callable[[], T],
    ) -> T:  # fmt: skip
        """The work's result, done when its turn has come."""
        await upload.unless_gone(queue.enter(n_windows, upload.client))
        try:  # also for a caller that has left: the place is free when the work is done
            return await asyncio.get_running_loop().run_in_executor(executor, work)
        finally:
            queue.leave()


def _error(code: str, sentence: str) -> bytes:
    return json.dumps({"error_code": code, "message": sentence}).encode()


if __name__ == "__main__":
    _main(*sys.argv[1:])
