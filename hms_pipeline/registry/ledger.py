"""Every decision about versions, append-only; each line holds the hash of the one before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ..system.errors import InputError, StaleError
from ..system.files import atomic, hash_json
from .decisions import NAME, Decisions, who

START = "0" * 64
ADVICE = "Put back a copy (docs/how-to/operations.md)."
STORE = f"MLflow's store (model {NAME})"


@dataclass(frozen=True)
class Ledger:
    """The decisions about one registered model, as of the first time it is asked.

    They stand in MLflow's store, where all machines see them; a checkout with a store of its own
    also keeps them in ``mlruns/ledger.jsonl``. A change of the alias is two lines: ``intent``
    before it, ``commit`` (or ``abort``) after, so that a process killed between them leaves
    something to finish.

    Parameters
    ----------
    path : Path or None
        The file; None where the store is no checkout's own.
    name : str
        The registered model.
    store : Decisions, optional
        None: the file alone.
    """

    path: Path | None
    name: str = ""
    store: Decisions | None = None

    def append(self, action: str, **facts: Any) -> dict[str, Any]:
        """Add a line, in the store and on the disk. Call it under the registry's lock.

        Raises
        ------
        StaleError
            The lock was lost, or another process has written the next line.
        """
        records = self.read()
        record = {
            "n": len(records) + 1,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": who(),
            "action": action,
            **facts,
            "previous": records[-1]["hash"] if records else START,
        }
        record["hash"] = hash_json(record)
        line = json.dumps(record, sort_keys=True).encode()
        self._share(line)
        self.lines.append(line)
        self._keep()
        return record

    def _share(self, *lines: bytes) -> None:
        """Write lines into the store; refuse where another line has the number of one of them."""
        if self.store is None:
            return
        for line in lines:
            self.store.add(self.name, line)
        if lines and not set(lines) <= set(self._counted()):
            raise StaleError(
                f"The next line of {self.name}'s ledger was written by another process. Nothing"
                " more is changed; run the command again."
            )

    def read(self) -> list[dict[str, Any]]:
        """All whole lines, oldest first; a line that was cut off by a kill never counted.

        Raises
        ------
        InputError
            A line is not JSON, or file and store differ.
        """
        records = []
        for n, line in enumerate(self.lines, start=1):
            record = _record(line)
            if record is None:
                raise InputError(f"Line {n} of the ledger needs to be JSON, but is not. {ADVICE}")
            records.append(record)
        return records

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines of file or store, whichever has more; it must begin with those of the other."""
        own, shared = self._own(), self.shared
        longer, shorter = (own, shared) if len(own) > len(shared) else (shared, own)
        if longer[: len(shorter)] != shorter:
            raise InputError(
                f"{self.path} and the ledger in {STORE} need to begin alike, but differ:"
                f" {_why_apart(own, shared)}"
            )
        return list(longer)

    def _own(self) -> list[bytes]:
        if self.path is None or not self.path.exists():
            return []
        text = self.path.read_bytes()
        return text[: text.rfind(b"\n") + 1].splitlines()

    @cached_property
    def shared(self) -> list[bytes]:
        """Those of the store."""
        return self._counted()

    def _counted(self) -> list[bytes]:
        """Lines in the store, now, without those that came second to their place."""
        found: list[bytes] = []
        for line in self.store.lines(self.name) if self.store is not None else ():
            place = (_record(line) or {}).get("n")
            if not isinstance(place, int) or place > len(found):
                found.append(line)
        return found

    def catch_up(self) -> None:
        """Bring file and store to the same lines: one has what a kill kept from the other."""
        self.need_whole()
        self._share(*self.lines[len(self.shared) :])
        self._keep()

    def _keep(self) -> None:
        """Write the file, where it is not what it should be."""
        content = b"".join(line + b"\n" for line in self.lines)
        there = self.path is not None and self.path.exists()
        if self.path is not None and content != (self.path.read_bytes() if there else b""):
            with atomic(self.path) as temporary:
                temporary.write_bytes(content)

    def need_whole(self) -> None:
        """Refuse a ledger that is damaged.

        Raises
        ------
        InputError
            Names the first line that is wrong.
        """
        for problem in _problems(self.lines):
            raise InputError(
                f"The ledger of {self.name} needs to be as it was written, but {problem}. {ADVICE}"
            )

    def files_hash(self, version: int) -> str | None:
        """SHA-256 of a version's files as it was registered; None where it never was."""
        record = self.last("register", version=version)
        return record.get("files_sha256") if record else None

    def pending(self) -> dict[str, Any] | None:
        """The last intent, if neither a commit nor an abort follows it."""
        for record in reversed(self.read()):
            if record["action"] in ("commit", "abort"):
                return None
            if record["action"] == "intent":
                return record
        return None

    def champions(self) -> list[int]:
        """Versions that have been champion, in order of becoming it; the last is it now."""
        return [record["to"] for record in self.read() if record["action"] == "commit"]

    def succession(self) -> list[int]:
        """Champions that still stand behind the present one, oldest first; the last is it.

        A rollback takes away all that came after the version it went to, and the version that it
        left stays away until it is promoted again.
        """
        line: list[int] = []
        for record in self.read():
            if record["action"] != "commit":
                continue
            if record["kind"] != "rollback":
                line.append(record["to"])
                continue
            while line and line[-1] != record["to"]:
                line.pop()
            line = [version for version in line if version != record["from"]] or [record["to"]]
        return line

    def last(self, action: str, **facts: Any) -> dict[str, Any] | None:
        """The newest record of an action with these facts."""
        for record in reversed(self.read()):
            if record["action"] == action and all(record.get(k) == v for k, v in facts.items()):
                return record
        return None

    def barred(self, content_hash: str, networks_hash: str, judged_by: str) -> str | None:
        """Why this content is never promoted by itself again, or None.

        Other code or thresholds may make a refused ensemble good enough. Networks that were rolled
        back are never promoted by themselves, whatever code runs them.
        """
        for record in self.read():
            day = record["time"][:10]
            same = record.get("judged_by", judged_by) == judged_by
            if record["action"] == "refuse" and record["content_hash"] == content_hash and same:
                return f"it was refused on {day} as version {record['version']}"
            undone = record["action"] == "commit" and record["kind"] == "rollback"
            if undone and record["from_networks"] == networks_hash:
                return f"it was rolled back on {day}: {record['reason']}"
        return None


def _problems(lines: list[bytes]) -> Iterator[str]:
    previous = START
    for n, line in enumerate(lines, start=1):
        record = _record(line)
        if record is None:
            yield f"line {n} of the ledger is not JSON"
            return
        body = {key: value for key, value in record.items() if key != "hash"}
        if record.get("previous") != previous or record.get("n") != n:
            yield f"line {n} of the ledger does not follow the line before it"
        if record.get("hash") != hash_json(body):
            yield f"line {n} of the ledger was changed"
        previous = record.get("hash", "")


def _why_apart(own: list[bytes], shared: list[bytes]) -> str:
    for problem in _problems(own):
        return f"{problem} in the file. Remove the file; hms gc --keep 1000 writes it anew."
    for problem in _problems(shared):
        return f"{problem} in the store. {ADVICE}"
    return "both went on apart. Put back a copy of both (docs/how-to/operations.md)."


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where that is no JSON object."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
