"""Whether the servers in use ask for a password where other machines can reach them."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests
from requests.auth import HTTPBasicAuth

from ..system.processes import alive

TIMEOUT_S = 3.0
OPEN, CLOSED, SILENT = "open", "asks for a password", "does not answer"
# What a server shows of its content, and to nobody without a password where that is on.
PREFECT_PROBE = "/flows/count"
MLFLOW_PROBE = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"


@dataclass(frozen=True)
class Server:
    """A server and the question that it answers only to those it knows.

    Parameters
    ----------
    name : str
    url : str
        Without a path's end.
    probe : str
        Path of the question.
    post : bool
    exposed : bool
        Whether its socket listens beyond loopback, even if the URL names loopback.
    login : str
        ``user:password`` that this machine has for it.
    """

    name: str
    url: str
    probe: str
    post: bool = False
    exposed: bool = False
    login: str = field(default="", repr=False)

    @property
    def user(self) -> str:
        """Whose name this machine uses."""
        return self.login.partition(":")[0]

    def knows_user(self) -> bool:
        """Whether it answers to this machine's user and password."""
        user, _, password = self.login.encode().partition(b":")
        return self._status(HTTPBasicAuth(user, password)) not in (None, 401, 403)

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return not self.exposed and is_loopback(urlsplit(self.url).hostname or "")

    def state(self) -> str:
        """``OPEN``, ``CLOSED`` or ``SILENT``, by asking without a password."""
        status = self._status()
        return SILENT if status is None else CLOSED if status in (401, 403) else OPEN

    def _status(self, login: HTTPBasicAuth | None = None) -> int | None:
        """The answer's status; None without an answer."""
        headers = {"Content-Type": "application/json"}
        with requests.Session() as session:
            session.trust_env = False  # no proxy, and no other password than the one that is given
            ask = partial(
                session.request, "POST" if self.post else "GET", self.url + self.probe,
                data=b"{}" if self.post else None, auth=login, timeout=TIMEOUT_S, stream=True,
            )  # fmt: skip
            try:
                answer = ask(headers=headers)
                said = next(answer.iter_content(1000), b"") if answer.status_code == 403 else b""
                if b"Host header" in said:
                    # MLflow refuses host names that it does not know, because of web pages in a
                    # browser. Any other program may send a name that it knows.
                    answer = ask(headers={**headers, "Host": "localhost"})
            except requests.RequestException:
                return None
            return answer.status_code


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine alone.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def servers(env: Mapping[str, str] = os.environ, run: Path | None = None) -> list[Server]:
    """Servers in use: those that the environment names, and those that the local stack started.

    Parameters
    ----------
    env : mapping
        ``HMS_HOST`` and the ports are the stack's (docs/how-to/operations.md).
    run : Path, optional
        The stack's ``.run`` folder. Whatever environment its servers were started in, where they
        listen is seen from their sockets.
    """
    named = list(_named(env))
    seen = [found for server in named for found in _listening(server, run)] if run else []
    known = {server.url for server in seen}
    return [server for server in named if server.url not in known] + seen


def _named(env: Mapping[str, str]) -> Iterator[Server]:
    host = env.get("HMS_HOST", "127.0.0.1")
    prefect = env.get("PREFECT_API_URL", f"http://{host}:{env.get('HMS_PREFECT_PORT', 4200)}/api")
    mlflow = env.get("HMS_MLFLOW_URL") or env.get("MLFLOW_TRACKING_URI", "")
    if not mlflow.startswith("http"):
        mlflow = f"http://{host}:{env.get('HMS_MLFLOW_PORT', 5000)}"
    login = env.get("PREFECT_API_AUTH_STRING") or env.get("PREFECT_SERVER_API_AUTH_STRING", "")
    yield Server("prefect server", prefect.rstrip("/"), PREFECT_PROBE, post=True, login=login)
    login = f"{env.get('MLFLOW_TRACKING_USERNAME', '')}:{env.get('MLFLOW_TRACKING_PASSWORD', '')}"
    yield Server("mlflow server", mlflow.rstrip("/"), MLFLOW_PROBE, login=login.strip(":"))


def _listening(server: Server, run: Path) -> Iterator[Server]:
    """The same server at each address beyond loopback where the stack's process listens."""
    path = urlsplit(server.url).path
    for host, port in sorted(_sockets(run / f"{server.name.split()[0]}.json")):
        if not is_loopback(host):
            asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
            asked = f"[{asked}]" if ":" in asked else asked
            yield replace(server, url=f"http://{asked}:{port}{path}", exposed=True)


def _sockets(record: Path) -> set[tuple[str, int]]:
    """Addresses where a recorded process and its children listen; none where it ended."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if not alive(known["pid"], known["born"]):
            return set()
        process = psutil.Process(known["pid"])
        family = [process, *process.children(recursive=True)]
    except (OSError, ValueError, KeyError, psutil.Error):
        return set()
    found = set()
    for member in family:
        with contextlib.suppress(psutil.Error):
            found |= {
                (socket.laddr.ip, socket.laddr.port)
                for socket in member.net_connections("tcp")
                if socket.status == psutil.CONN_LISTEN
            }
    return found
