"""A TCP proxy that stands for a bad network or a bad store."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

PASS, CUT, DEAF, SLOW, BUSY, FULL = "pass", "cut", "deaf", "slow", "busy", "full"
REFUSED = {BUSY: "503 Slow Down", FULL: "507 Insufficient Storage"}
WRITES = (b"PUT ", b"POST ")
DELAY_S = 0.5


class Proxy:
    """Passes connections on to a port of 127.0.0.1, as its mode says.

    ``CUT`` resets every connection, ``DEAF`` those whose answer comes: what was asked is done, and
    who asked does not learn it. ``SLOW`` delays each piece. ``BUSY`` answers HTTP's 503 to every
    request, ``FULL`` 507 to those that write.

    Parameters
    ----------
    target : int
        The port.
    host : str
        Where it listens itself.
    """

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self.target, self.mode = target, PASS
        self.open: set[socket.socket] = set()
        self.door = socket.create_server((host, 0), backlog=64)
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def turn(self, mode: str) -> None:
        """Go over to a mode; connections that are open end."""
        self.mode = mode
        for end in list(self.open):
            _reset(end)
        self.open.clear()

    def close(self) -> None:
        """Listen no more."""
        self.door.shutdown(socket.SHUT_RDWR)  # closing alone would not end the wait for a client
        self.door.close()
        self.turn(CUT)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.mode == CUT:
            _reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        self.open |= {client, server}
        back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()
        self.open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if self.mode == SLOW:
                    time.sleep(DELAY_S)
                if self.mode == DEAF and answers:
                    _reset(target)
                    _reset(source)
                    return
                if not answers and self._refuses(piece):
                    _refuse(source, REFUSED[self.mode])
                    break
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def _refuses(self, piece: bytes) -> bool:
        """Whether a client's piece begins a request that is refused in this mode."""
        methods = WRITES if self.mode == FULL else (*WRITES, b"GET ", b"HEAD ", b"DELETE ")
        return self.mode in REFUSED and piece.startswith(methods)


def _refuse(client: socket.socket, status: str) -> None:
    """Answer, then take what the client still sends, so that it reads the answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode())
    client.shutdown(socket.SHUT_WR)
    client.settimeout(2)
    with contextlib.suppress(OSError):
        while client.recv(65536):
            pass


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
