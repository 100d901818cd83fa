"""Every decision about versions, append-only; each line holds the hash of the one before."""

from __future__ import annotations

import getpass
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..system.errors import InputError
from ..system.files import atomic, hash_json

START = "0" * 64
ADVICE = "Restore it from MLflow's copy."


@dataclass(frozen=True)
class Ledger:
    """``mlruns/ledger.jsonl``.

    A change of the alias is two lines: ``intent`` before it, ``commit`` (or ``abort``) after, so
    that a process killed between them leaves something to finish.

    Parameters
    ----------
    path : Path
    text : bytes, optional
        Its content, where that is not the file's: a copy that went on elsewhere. To read only.
    """

    path: Path
    text: bytes | None = None

    def append(self, action: str, **facts: Any) -> dict[str, Any]:
        """Add a line and force it to the disk. Call it under the registry's lock."""
        self._mend()
        records = self.read()
        record = {
            "n": len(records) + 1,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": f"{_user()}@{socket.gethostname()}",
            "action": action,
            **facts,
            "previous": records[-1]["hash"] if records else START,
        }
        record["hash"] = hash_json(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.write(json.dumps(record, sort_keys=True).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        return record

    def read(self) -> list[dict[str, Any]]:
        """All whole lines, oldest first; a line that was cut off by a kill never counted.

        Raises
        ------
        InputError
            A line is not JSON.
        """
        return [_parsed(line, n) for n, line in enumerate(self.content().splitlines(), start=1)]

    def content(self) -> bytes:
        """Its whole lines."""
        if self.text is not None:
            return self.text
        return whole_lines(self.path.read_bytes()) if self.path.exists() else b""

    def replace(self, content: bytes) -> None:
        """Take over what it went on to be elsewhere."""
        with atomic(self.path) as temporary:
            temporary.write_bytes(content)

    def _mend(self) -> None:
        if self.path.exists() and len(whole := self.content()) < self.path.stat().st_size:
            os.truncate(self.path, len(whole))

    def problems(self) -> list[str]:
        """What is wrong with the chain, in sentences; empty where it is whole."""
        previous, found = START, []
        try:
            records = self.read()
        except InputError as err:
            return [str(err).removesuffix(f". {ADVICE}")]
        for n, record in enumerate(records, start=1):
            body = {key: value for key, value in record.items() if key != "hash"}
            if record.get("previous") != previous or record.get("n") != n:
                found.append(f"line {n} of the ledger does not follow the line before it")
            if record.get("hash") != hash_json(body):
                found.append(f"line {n} of the ledger was changed")
            previous = record.get("hash", "")
        return found

    def need_whole(self) -> None:
        """Refuse a ledger that is damaged.

        Raises
        ------
        InputError
            Names the first line that is wrong.
        """
        for problem in self.problems():
            raise InputError(
                f"The ledger {self.path} needs to be as it was written, but {problem}. {ADVICE}"
            )

    def files_hash(self, version: int) -> str | None:
        """SHA-256 of a version's files as it was registered; None where it never was."""
        record = self.last("register", version=version)
        return record.get("files_sha256") if record else None

    def pending(self) -> dict[str, Any] | None:
        """The last intent, where nothing came of it yet."""
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
        return next(
            (
                record
                for record in reversed(self.read())
                if record["action"] == action
                and all(record.get(key) == value for key, value in facts.items())
            ),
            None,
        )

    def barred(self, content_hash: str, networks_hash: str, judged_by: str) -> str | None:
        """Why this content is never promoted by itself again, or None.

        Other code or thresholds may make a refused ensemble good enough; networks that were rolled
        back stay
        out whatever runs them.
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


def whole_lines(text: bytes) -> bytes:
    """Without a line that was cut off."""
    return text[: text.rfind(b"\n") + 1]


def _parsed(line: bytes, n: int) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        raise InputError(f"Line {n} of the ledger needs to be JSON, but is not. {ADVICE}") from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
