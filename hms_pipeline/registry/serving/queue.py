"""Who is scored next: one request at a time, small ones soon, and no more waiting than stated."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from .bodies import RefusedError

MAX_WAITING = 16  # requests
WINDOW_S = 0.5  # a request gives way to those that come so long after it, per window of its own
RETRY_S = 1


def busy(reason: str, what: str) -> RefusedError:
    """Come again later."""
    return RefusedError(503, reason, f"The server has {what}. Send the request again.", RETRY_S)


class FairQueue:
    """One place; who waits is served in the order of arrival + ``WINDOW_S`` × windows.

    A request of one window therefore overtakes a large one, and a large one waits for
    ``WINDOW_S`` × windows at most before it stands first.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, asyncio.Future]] = []
        self._numbers = itertools.count()
        self._taken = False

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""
        return sum(not future.done() for _, _, future in self._waiting)

    def check(self) -> None:
        """Refuse a newcomer before anything is read of it.

        Raises
        ------
        RefusedError
            ``MAX_WAITING`` wait already.
        """
        if self.n_waiting >= MAX_WAITING:
            raise busy("waiting", f"{MAX_WAITING} requests waiting already")

    async def enter(self, n_windows: int) -> None:
        """Wait for the place and hold it until ``leave``.

        Raises
        ------
        RefusedError
            ``MAX_WAITING`` wait already.
        """
        if self._taken:
            await self._wait(n_windows)
        self._taken = True

    async def _wait(self, n_windows: int) -> None:
        self.check()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        due = loop.time() + WINDOW_S * n_windows
        heapq.heappush(self._waiting, (due, next(self._numbers), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # the place came and nobody is there
                self.leave()
            raise

    def leave(self) -> None:
        """Hand the place to whose turn it is."""
        self._taken = False
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                self._taken = True  # handed over, so that nobody slips in between
                future.set_result(None)
                return


class Memory:
    """Bytes that bodies may take together.

    Parameters
    ----------
    n_bytes : int
    """

    def __init__(self, n_bytes: int) -> None:
        self._free = n_bytes

    @contextmanager
    def reserve(self, n_bytes: int) -> Iterator[None]:
        """Hold so many bytes.

        Raises
        ------
        RefusedError
            Others hold them.
        """
        if n_bytes > self._free:
            raise busy("memory", "as many bodies in its memory as it may hold")
        self._free -= n_bytes
        try:
            yield
        finally:
            self._free += n_bytes
