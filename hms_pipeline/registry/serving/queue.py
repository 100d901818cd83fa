"""Which request is scored next: one at a time, small ones early, a limited number waiting."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .bodies import RefusedError

MAX_WAITING = 16  # requests
# For each of its windows, a request lets those go first that come up to so much later.
WINDOW_S = 0.5
RETRY_S = 1
MAX_CLIENTS = 1000  # most clients that are remembered
DISTRUST_S = 60.0  # after a faulty request its client comes after all others


def busy(reason: str, what: str) -> RefusedError:
    """Make the refusal that asks a caller to come again later."""
    return RefusedError(503, reason, f"The server has {what}. Send the request again.", RETRY_S)


@dataclass(eq=False)
class _Place:
    """Who waits."""

    client: str
    n_windows: int
    due: float
    future: asyncio.Future


class FairQueue:
    """A number of places, in which requests are worked on; this class chooses who is next.

    Next is the client that was given the fewest windows, and of its requests the one that is due
    first. A request is due ``WINDOW_S`` × its windows after it came. So one window overtakes a
    large request, and a client that sends many does not delay the others. If ``MAX_WAITING`` wait,
    a new one takes the last place of the client that has most, if it has more than the newcomer.
    Clients that sent a faulty request in the last ``DISTRUST_S`` come after the others; if no place
    is free, the others take theirs.

    Parameters
    ----------
    n : int
        Places.
    """

    def __init__(self, n: int = 1) -> None:
        self._waiting: list[_Place] = []
        self._given: dict[str, float] = {}  # windows; of those that were given more than ``_least``
        self._least = 0.0
        self._free = n
        self.faulty: dict[str, float] = {}  # when clients were last refused for a fault of theirs

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def check(self, client: str = "") -> None:
        """Refuse a newcomer before anything is read of it.

        Raises
        ------
        RefusedError
            ``MAX_WAITING`` wait already, and no client has more places than this one would have.
        """
        self._outnumbered(client)

    def distrust(self, client: str) -> None:
        """Note that a client sent a faulty request."""
        self.faulty.pop(client, None)
        self.faulty[client] = time.monotonic()
        if len(self.faulty) > MAX_CLIENTS:
            self.faulty.pop(next(iter(self.faulty)))

    def is_distrusted(self, client: str) -> bool:
        """Whether a client sent a faulty request lately."""
        return time.monotonic() - self.faulty.get(client, -DISTRUST_S) < DISTRUST_S

    def _outnumbered(self, client: str) -> _Place | None:
        """The place that a newcomer may take; None where there is a free one."""
        if len(self._waiting) < MAX_WAITING:
            return None
        distrusted = [place for place in self._waiting if self.is_distrusted(place.client)]
        is_distrusted = self.is_distrusted(client)
        if distrusted and not is_distrusted:
            return max(distrusted, key=lambda place: place.due)
        # A client that sent a faulty request takes no place of one that did not.
        count = Counter(p.client for p in (distrusted if is_distrusted else self._waiting))
        ((most, n),) = count.most_common(1) or [("", 0)]
        if n <= count[client] + 1:
            raise _full()
        return max((p for p in self._waiting if p.client == most), key=lambda place: place.due)

    async def enter(self, n_windows: int, client: str = "") -> None:
        """Wait for a place and hold it until ``leave``.

        Parameters
        ----------
        n_windows : int
        client : str
            Its address.

        Raises
        ------
        RefusedError
            Too many wait already, or this client's share went to others.
        """
        if not self._free:
            await self._wait(n_windows, client)
        else:
            self._free -= 1
            # Nobody waits, so earlier shares no longer count.
            self._given = {client: self._least + n_windows}

    def _share(self, client: str) -> float:
        return self._given.get(client, self._least)

    def _turn(self, place: _Place) -> tuple[bool, float, float]:
        return self.is_distrusted(place.client), self._share(place.client), place.due

    def _give(self, client: str, n_windows: int) -> None:
        self._least = max(self._least, self._share(client))
        known = self._given if len(self._given) < MAX_CLIENTS else {}
        self._given = {name: n for name, n in known.items() if n > self._least}
        self._given[client] = self._least + n_windows

    async def _wait(self, n_windows: int, client: str) -> None:
        if outnumbered := self._outnumbered(client):
            self._waiting.remove(outnumbered)
            outnumbered.future.set_exception(_full())
        loop = asyncio.get_running_loop()
        due = loop.time() + WINDOW_S * n_windows
        place = _Place(client, n_windows, due, loop.create_future())
        self._waiting.append(place)
        try:
            await place.future
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place.future.cancelled():  # the place was handed to a caller that has left
                self.leave()
            raise

    def leave(self) -> None:
        """Hand the place to whose turn it is."""
        self._waiting = [place for place in self._waiting if not place.future.done()]
        if not self._waiting:
            self._free += 1
        else:  # the place is handed over, so that no newcomer takes it
            first = min(self._waiting, key=self._turn)
            self._waiting.remove(first)
            self._give(first.client, first.n_windows)
            first.future.set_result(None)


def _full() -> RefusedError:
    return busy("waiting", f"{MAX_WAITING} requests waiting already")


class Memory:
    """Bytes that bodies may take together; those of one client beyond its first, half of them.

    Parameters
    ----------
    n_bytes : int
    """

    def __init__(self, n_bytes: int) -> None:
        self._free, self._share = n_bytes, n_bytes / 2
        self._held = Counter[str]()

    @contextmanager
    def reserve(self, n_bytes: int, client: str = "") -> Iterator[None]:
        """Hold so many bytes.

        Raises
        ------
        RefusedError
            Others hold them, or this client its share.
        """
        held = self._held[client]
        if n_bytes > self._free or (held and held + n_bytes > self._share):
            raise busy("memory", "as many bodies in its memory as it may hold")
        self._free -= n_bytes
        self._held[client] += n_bytes
        try:
            yield
        finally:
            self._free += n_bytes
            self._held[client] -= n_bytes
            self._held = +self._held  # forgets who holds none
