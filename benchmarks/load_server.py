"""Valid clients among abusive ones against a running scoring server.

    hms serve &
    python -m benchmarks.load_server --url http://127.0.0.1:8080 --clients 200 --valid 40

First one valid client asks alone, then all ask at once for ``--seconds``: the valid ones one window
at a time, each as soon as it has its answer and as told by Retry-After; the others send malformed
and oversized bodies, bombs and uploads that stall or break off. It fails where a valid answer is
wrong, or where anything but 200 and 503 comes back to a valid client.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests

from benchmarks.fuzz_server import (
    JSON,
    PARQUET,
    Answer,
    Request,
    malformed,
    memory_mb,
    probabilities_of,
    rare,
    window,
)
from hms_pipeline.inference.client import encode_request

VALID = encode_request([window()])
TIMEOUT_S = 120


def address_of(client: int) -> str:
    """One of the loopback's addresses."""
    return f"127.0.{1 + client // 250}.{1 + client % 250}"


class _From(requests.adapters.HTTPAdapter):
    """Connections from one address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=(self._address, 0))


class Crowd:
    """Clients that ask until they are told to stop.

    Parameters
    ----------
    url : str
    expected : array, shape (1, 6)
        The right answer to ``VALID``.
    """

    def __init__(self, url: str, expected: np.ndarray) -> None:
        self.url, self.expected = url, expected
        self.stop = threading.Event()
        self.answers: list[tuple[int, float]] = []  # of valid clients: status, seconds
        self.pings: list[float] = []
        self.wrong: list[str] = []
        self.abuse: Counter = Counter()
        # Made beforehand: some take seconds to make.
        self.malformed = [malformed(seed) for seed in range(240)]
        self.rare = [rare(seed) for seed in range(16)]

    def valid(self, seed: int) -> None:
        """Ask for one window, again and again."""
        with self._session(seed) as session:
            while not self.stop.is_set():
                start = time.perf_counter()
                try:
                    got = session.post(f"{self.url}/invocations", data=VALID, timeout=TIMEOUT_S,
                                       headers={"Content-Type": PARQUET})  # fmt: skip
                except requests.RequestException as err:
                    self.wrong.append(type(err).__name__)
                    continue
                self.answers.append((got.status_code, time.perf_counter() - start))
                if got.status_code == 200:
                    probs = probabilities_of(Answer(200, got.text))
                    if not np.allclose(probs, self.expected, atol=1e-5):
                        self.wrong.append("other probabilities")
                elif got.status_code == 503:
                    self.stop.wait(float(got.headers["Retry-After"]))
                else:
                    self.wrong.append(f"status {got.status_code}")

    def _session(self, client: int) -> requests.Session:
        """A connection from an address of the client's own, where the server's is a loopback's."""
        session = requests.Session()
        session.mount("http://", _From(address_of(client)))
        return session

    def ping(self, seed: int) -> None:
        """Ask whether the server lives, five times a second."""
        while not self.stop.wait(0.2):
            start = time.perf_counter()
            if requests.get(f"{self.url}/ping", timeout=TIMEOUT_S).status_code != 200:
                self.wrong.append("ping")
            self.pings.append(time.perf_counter() - start)

    def abusive(self, seed: int) -> None:
        """Send what no honest client sends, about twice a second."""
        rng = np.random.default_rng(seed)
        with self._session(seed) as session:
            while not self.stop.wait(float(rng.uniform(0, 1))):
                kind = rng.integers(10)
                if kind == 0:
                    found = self._stall(rng, seed)
                else:
                    pool = self.rare if kind == 1 else self.malformed
                    found = self._send(session, pool[rng.integers(len(pool))])
                self.abuse[found] += 1

    def _send(self, session: requests.Session, request: Request) -> str:
        endless = request.kind == "chunked without end"
        body = iter(lambda: None if self.stop.is_set() else bytes(2**16), None)
        try:
            got = session.post(
                f"{self.url}/invocations", data=body if endless else request.body,
                headers={"Content-Type": request.content_type}, timeout=TIMEOUT_S,
            )  # fmt: skip
        except requests.RequestException as err:
            return type(err).__name__
        return str(got.status_code)

    def _stall(self, rng: np.random.Generator, client: int) -> str:
        """Announce a body, send half of it, wait, and leave."""
        place = urlsplit(self.url)
        address = (place.hostname or "", place.port or 80)
        with socket.create_connection(address, TIMEOUT_S, (address_of(client), 0)) as connection:
            head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n"
            connection.sendall(f"{head}Content-Length: {len(VALID)}\r\n\r\n".encode())
            with contextlib.suppress(OSError):  # the server may have refused it by its head
                connection.sendall(VALID[: len(VALID) // 2])
            self.stop.wait(float(rng.uniform(0, 3)))
        return "stalled"

    def run(self, seconds: float, clients: Sequence[Callable[[int], None]]) -> None:
        """Let clients ask for so long."""
        self.stop.clear()
        threads = [threading.Thread(target=ask, args=(k,)) for k, ask in enumerate(clients)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.stop.set()
        for thread in threads:
            thread.join()

    def tell(self, what: str) -> None:
        """Print what the valid clients met, and forget it."""
        good = [s for status, s in self.answers if status == 200] or [float("nan")]
        refused = [s for status, s in self.answers if status == 503]
        print(
            f"{what}: {len(good)} answers, median {np.median(good):.2f} s,"
            f" 95 % {np.quantile(good, 0.95):.2f} s; {len(refused)} times 503"
            f" after {np.median(refused or [0]):.2f} s"
        )
        self.answers = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--valid", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pid", type=int, help="The server's process.")
    arguments = parser.parse_args()
    first = requests.post(f"{arguments.url}/invocations", data=VALID, timeout=TIMEOUT_S,
                          headers={"Content-Type": PARQUET})  # fmt: skip
    crowd = Crowd(arguments.url, probabilities_of(Answer(first.status_code, first.text)))
    crowd.run(min(10, arguments.seconds), [crowd.valid])
    crowd.tell("one valid client alone")
    crowd.run(arguments.seconds / 3, [crowd.valid] * arguments.valid)
    crowd.tell(f"{arguments.valid} valid clients alone")
    others = arguments.clients - arguments.valid
    crowd.run(
        arguments.seconds, [*[crowd.valid] * arguments.valid, *[crowd.abusive] * others, crowd.ping]
    )
    crowd.tell(f"{arguments.valid} valid clients among {others} abusive ones")
    print("abusive ones met:", dict(crowd.abuse))
    print(f"/ping: median {np.median(crowd.pings):.3f} s, most {max(crowd.pings):.3f} s")
    if arguments.pid is not None:
        print("memory (MB now, at most so far):", memory_mb(arguments.pid))
    print(f"{len(crowd.wrong)} wrong answers", Counter(crowd.wrong))
    return int(bool(crowd.wrong))


if __name__ == "__main__":
    sys.exit(main())
