"""One request's body within its limits, and its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from .bodies import RefusedError

T = TypeVar("T")
SLOWEST = 2**20  # slowest upload, bytes a second
PATIENCE_S = 10.0  # time that an upload may take in addition
# The rest of a refused upload is read for so long, so that its sender sees the answer.
DRAIN_S = 5.0
PAUSE_S = 0.003  # pause after each part of that rest, of some 64 kB
SLOW_S = 0.05  # the same for a client that was refused before
JSON_TYPE = "application/json"


class GoneError(Exception):
    """The caller has left."""


class Upload:
    """A request's body as it arrives.

    Parameters
    ----------
    scope : dict
    receive : callable
        ASGI's.
    """

    def __init__(self, scope: dict, receive: Callable) -> None:
        self._receive, self.whole = receive, False
        pairs = (
            (name.decode("latin-1"), text.decode("latin-1")) for name, text in scope["headers"]
        )
        self.headers = dict(pairs)
        self.client = (scope.get("client") or ("",))[0]

    def length(self, most: int) -> int:
        """Bytes that the body may have: as stated, or ``most`` where nothing is.

        Raises
        ------
        RefusedError
            More are stated.
        """
        stated = int(self.headers.get("content-length", most))
        if stated > most:
            raise too_large(most)
        return stated

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        self.whole = not message.get("more_body", False)
        return message.get("body", b"")

    async def read(self, most: int) -> bytearray:
        """The body.

        Raises
        ------
        RefusedError
            It has more than ``most`` bytes as received, or arrives too slowly.
        GoneError
        """
        body = bytearray()  # a list of parts and its sum would take twice as much
        try:
            async with asyncio.timeout(PATIENCE_S + most / SLOWEST):
                while not self.whole:
                    body += await self._part()
                    if len(body) > most:
                        raise too_large(most)
        except TimeoutError:
            raise RefusedError(
                408, "slow",
                "A request's body needs to arrive in time, but was too slow. Send it again.",
            ) from None  # fmt: skip
        return body

    async def drain(self, pause_s: float = PAUSE_S) -> None:
        """Read the rest of an upload for a moment, with a pause after each part, and discard it."""
        if "expect" in self.headers:  # the sender waits for an answer before it sends the body
            return
        with contextlib.suppress(TimeoutError, GoneError):
            async with asyncio.timeout(DRAIN_S):
                while not self.whole:
                    await self._part()
                    await asyncio.sleep(pause_s)

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """Wait for the work's result; cancel the work if the caller leaves first.

        Raises
        ------
        GoneError
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise GoneError
            return working.result()
        finally:
            working.cancel()
            leaving.cancel()


def too_large(most: int) -> RefusedError:
    """Make the refusal of a body that has more bytes than a request may have."""
    return RefusedError(
        413, "body",
        f"A request may have {most / 2**20:g} MB, but has more. Send fewer windows a request.",
    )  # fmt: skip


async def answer(
    send: Callable,
    status: int,
    content: bytes,
    kind: str = JSON_TYPE,
    *,
    upload: Upload | None = None,
    pause_s: float = PAUSE_S,
    headers: dict[str, str] | None = None,
) -> None:
    """Send an answer; a refused upload is read on for a moment, and then cut off."""
    sent = {"content-type": kind, "content-length": str(len(content)), **(headers or {})}
    if upload is not None and not upload.whole:
        sent["connection"] = "close"
    named: Any = [(name.encode(), text.encode()) for name, text in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": content, "more_body": upload is not None})
    if upload is not None:
        await upload.drain(pause_s)
        await send({"type": "http.response.body"})
