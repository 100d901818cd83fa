"""Machines of a test that share nothing but addresses.

Each has a network card on a bridge, a host name, and no folder of the other machines. Of the
machine that runs the test it reaches what listens on the bridge's address. This needs root.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NEW_NET = 0x40000000  # CLONE_NEWNET of <sched.h>
NEEDED = ("ip", "mount", "nsenter", "unshare")
ALONE = """set -e
hostname "$1"; folder=$2; hidden=$3; shift 3
mount -t tmpfs none /mnt; mkdir /mnt/own; mount --bind "$folder" /mnt/own
mount -t tmpfs none "$hidden"; mkdir -p "$folder"; mount --bind /mnt/own "$folder"; umount -l /mnt
for private; do mkdir -p "$private"; mount -t tmpfs none "$private"; done
echo ready
exec sleep infinity"""


@dataclass
class Bridge:
    """What the machines' network cards are plugged into.

    Parameters
    ----------
    hidden : Path
        Here a machine sees only its own folder.
    """

    hidden: Path
    name: str = field(default_factory=lambda: f"hms{os.getpid()}")
    holders: list[subprocess.Popen[str]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.subnet = f"10.{100 + secrets.randbelow(100)}.{secrets.randbelow(256)}"
        self.host = f"{self.subnet}.1"
        _ip("link", "add", self.name, "type", "bridge")
        _ip("addr", "add", f"{self.host}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def join(self, folder: Path, name: str, private: Sequence[Path] = ()) -> Place:
        """Make a machine of a folder; it sees each folder of ``private`` empty."""
        command = ["unshare", "--net", "--mount", "--uts", "sh", "-c", ALONE, "sh", name]
        command += map(str, (folder, self.hidden, *private))
        holder = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.holders.append(holder)
        with holder.stdout as said:
            if said.readline() != "ready\n":
                raise OSError(f"{folder} did not get namespaces of its own")
        network = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY)
        address = f"{self.subnet}.{2 + len(self.places)}"
        place = Place(holder.pid, address, folder, network)
        self.places.append(place)
        card = f"{self.name}-{len(self.places)}"
        _ip("link", "add", card, "type", "veth", "peer", "name", "card", "netns", str(holder.pid))
        _ip("link", "set", card, "master", self.name, "up")
        for more in (("addr", "add", f"{place.address}/24", "dev", "card"),
                     ("link", "set", "card", "up"), ("link", "set", "lo", "up")):  # fmt: skip
            subprocess.run([*place.prefix, "ip", *more], check=True)
        return place

    def close(self) -> None:
        """End all machines, with what still runs on them."""
        for number, place in enumerate(self.places, 1):
            place.kill()
            with suppress(subprocess.CalledProcessError):  # it never got its card
                _ip("link", "del", f"{self.name}-{number}")  # connections that end would keep it
            os.close(place.network)
        for holder in self.holders:
            holder.kill()
            holder.wait()
        _ip("link", "del", self.name)


@dataclass(frozen=True)
class Place:
    """The namespaces of one machine, and its address.

    Parameters
    ----------
    pid : int
        Of the process that holds them.
    address : str
    folder : Path
    network : int
        Its network, an open file: while it is open no other has its number.
    """

    pid: int
    address: str
    folder: Path
    network: int

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that runs there."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--uts"]
        return [*enter, "env", f"--chdir={self.folder}"]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread open connections there."""
        with open("/proc/thread-self/ns/net") as back:
            _enter(self.network)
            try:
                yield
            finally:
                _enter(back.fileno())

    def processes(self) -> Iterator[int]:
        """Pids of all that runs there."""
        number = os.fstat(self.network).st_ino
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "ns" / "net").stat().st_ino == number:
                    yield int(process.name)

    def kill(self) -> None:
        """End all of its processes at once, as a machine dies."""
        while found := list(self.processes()):  # one may have started another meanwhile
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, NEW_NET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stderr=subprocess.DEVNULL)


def lacking() -> str | None:
    """Why there are no such machines here; None where there are."""
    if os.geteuid():
        return "root is needed"
    if absent := [name for name in NEEDED if shutil.which(name) is None]:
        return f"the programs {absent} are needed"
    tried = ["unshare", "--net", "--mount", "--uts", "ip", "link", "add", "hms", "type", "bridge"]
    if subprocess.run(tried, capture_output=True).returncode:
        return "this system gives no namespaces"
    return None
