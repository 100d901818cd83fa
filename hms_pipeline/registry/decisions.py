"""What all machines of a registry share: its lock, and the lines of its ledgers.

Both are versions of the registered model ``hms-decisions``. With every database, MLflow numbers
versions in the order in which it creates them and gives no number twice. So each line of a ledger,
which is a version, has a place of its own. Each process that wants the lock creates a version, too;
the lowest number has the lock. Clocks of different machines are never compared.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..system.errors import InputError, StaleError
from ..system.files import write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)
NAME = "hms-decisions"
ABOUT = "Who decided what about the registered models, one version a line. Never delete any."
SOURCE = "hms:/decisions"  # MLflow requires a source; these versions have no files
LEDGER, LINE = "ledger", "line"  # tags of a line
TICKET, OWNER, BEAT = "ticket", "owner", "beat"  # tags of who wants the lock
BEAT_S, DEAD_S, POLL_S = 5.0, 60.0, 0.5


class Decisions:
    """The lock and the lines in one MLflow store.

    Parameters
    ----------
    client : MlflowClient
    """

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.number: str | None = None  # number of this process's ticket

    def lines(self, ledger: str) -> list[bytes]:
        """The lines of a registered model's ledger in the order in which they were written."""
        found = search(self.client, f"name = '{NAME}' and tags.`{LEDGER}` = '{ledger}'")
        return [version.tags.get(LINE, "").encode() for version in found]

    def add(self, ledger: str, line: bytes) -> None:
        """Write a line; call it inside ``alone``.

        Raises
        ------
        StaleError
            This process has lost the lock.
        """
        self.check()
        self._create({LEDGER: ledger, LINE: line.decode()})

    def check(self) -> None:
        """Refuse where this process has lost the lock.

        Raises
        ------
        StaleError
            Others waited for it and heard nothing of this process for ``DEAD_S``.
        """
        with unless_absent():
            self.client.get_model_version(NAME, self.number or "0")
            return
        raise StaleError(
            "The registry's lock is needed to change it, but another process has taken it over,"
            f" because this one had not been heard of for {DEAD_S:.0f} s. Run the command again."
        )

    @contextlib.contextmanager
    def alone(self, token_file: Path, timeout_s: float = 600.0) -> Iterator[None]:
        """Hold the lock. While it is held, a thread writes a count that the others watch.

        Parameters
        ----------
        token_file : Path
            Names what this checkout holds, so that its next process frees what a killed one held.
            Call it under a file lock of the checkout.
        timeout_s : float
            How long to wait for others.

        Raises
        ------
        InputError
            Others held it all the time.
        """
        if token_file.exists():
            self._remove(token_file.read_text(encoding="utf-8"))
        token = uuid.uuid4().hex
        write_text(token_file, token)
        self.number = self._create({TICKET: token, OWNER: who(), BEAT: "0"})
        ended = threading.Event()
        threading.Thread(target=self._beat, args=(self.number, ended), daemon=True).start()
        try:
            self._wait(token, timeout_s)
            yield
        finally:
            ended.set()
            try:
                self._remove(token)
                token_file.unlink(missing_ok=True)
            except Exception as err:  # errors of the store or the disk; what was done stays done
                log.warning("The registry's lock frees itself in %.0f s: %s", DEAD_S, err)

    def _wait(self, token: str, timeout_s: float) -> None:
        """Until no ticket before ours is left; one whose count stands still is removed."""
        watch, begin = Watch(), time.monotonic()
        while before := self._before(token):
            owner = before[0].tags.get(OWNER)
            if not watch.seen:
                log.warning("Waiting for %s, who changes the registry.", owner)
            for ticket in watch.dead(before):
                self.delete(ticket)
            if time.monotonic() - begin > timeout_s:
                raise InputError(
                    f"The registry's lock is needed, but others have held it for {timeout_s:.0f} s,"
                    f" now {owner}. Wait for them, or end them."
                )
            time.sleep(POLL_S)
        self.check()

    def _before(self, token: str) -> list[ModelVersion]:
        """Tickets before ours, without a double of ours (MLflow's client may have asked twice)."""
        return [
            ticket
            for ticket in self._tickets()
            if int(ticket.version) < int(self.number or 0) and ticket.tags[TICKET] != token
        ]

    def _beat(self, number: str, ended: threading.Event) -> None:
        for beat in itertools.count(1):
            if ended.wait(BEAT_S):
                return
            with contextlib.suppress(Exception):  # the store is away; the next beat tries again
                self.client.set_model_version_tag(NAME, number, BEAT, str(beat))

    def _remove(self, token: str) -> None:
        for ticket in self._tickets():
            if ticket.tags[TICKET] == token:
                self.delete(ticket)

    def delete(self, version: ModelVersion) -> None:
        """Delete a version of whatever model, unless it is gone."""
        with unless_absent():
            self.client.delete_model_version(version.name, version.version)

    def _tickets(self) -> list[ModelVersion]:
        found = search(self.client, f"name = '{NAME}' and tags.`{TICKET}` LIKE '%'")
        # MLflow reads tags after versions: who lets the lock go in between has none any more.
        return [ticket for ticket in found if TICKET in ticket.tags]

    def _create(self, tags: dict[str, str]) -> str:
        create = partial(
            self.client.create_model_version, NAME, SOURCE, tags=tags, await_creation_for=0
        )
        with unless_absent():
            return create().version
        create_model(self.client, NAME, ABOUT)
        return create().version


class Watch:
    """Tells by this machine's clock alone which tickets' counts stand still.

    Only time in which the store answered counts, so that nobody seems dead when it comes back.
    """

    def __init__(self) -> None:
        self.seen: dict[str, tuple[str | None, float]] = {}
        self.last = time.monotonic()

    def dead(self, tickets: list[ModelVersion]) -> list[ModelVersion]:
        """Those of the tickets that were seen with one count for ``DEAD_S``."""
        now = time.monotonic()
        passed, self.last = min(now - self.last, 2 * POLL_S), now
        seen: dict[str, tuple[str | None, float]] = {}
        for ticket in tickets:
            count = ticket.tags.get(BEAT)
            before, still_s = self.seen.get(ticket.version, (count, -passed))
            seen[ticket.version] = (count, still_s + passed if count == before else 0.0)
        self.seen = seen
        return [ticket for ticket in tickets if seen[ticket.version][1] > DEAD_S]


def search(client: MlflowClient, asked: str) -> list[ModelVersion]:
    """All versions that a filter of MLflow's finds, oldest first."""
    found, token = [], None
    while True:
        page = client.search_model_versions(asked, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


def create_model(client: MlflowClient, name: str, description: str) -> None:
    """Create a registered model, unless it is there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextlib.contextmanager
def unless_absent() -> Iterator[None]:
    """Go on behind the block where MLflow's store answers that there is no such thing."""
    try:
        yield
    except Exception as err:  # every store has its own
        if getattr(err, "error_code", None) != "RESOURCE_DOES_NOT_EXIST":
            raise


def who() -> str:
    """The user and the machine."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"{os.getuid()}@{socket.gethostname()}"
