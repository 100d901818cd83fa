"""What is installed, which device, which stores, and what is wrong with the registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

import torch

from ..config import Params, Paths
from ..system.errors import InputError, hide_passwords
from ..system.packages import package_versions
from ..tracking.backends import Bucket, Database, backends, dvc_remote
from ..tracking.servers import CLOSED, OPEN, Server, servers
from ..tracking.store import CHAMPION, elsewhere, has_store, is_own, store_uri
from .disk import GB, check_disk
from .versions import Registry

PACKAGES = ("torch", "timm", "mlflow", "prefect", "dvc", "great-expectations", "numpy", "pandas")
EXTRAS = {"mne": "clinical", "ray": "ray", "dvc-s3": "team"}
FINE, NOTE, WRONG = "fine", "note", "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Parameters
    ----------
    what, value : str
    state : str
        ``fine``, ``note`` or ``wrong``.
    advice : str
        What to do, where something is wrong.
    """

    what: str
    value: str
    state: str = FINE
    advice: str = ""


def _made_by(registry: Registry, champion: int) -> Iterator[Finding]:
    """Packages that differ from those that made the champion."""
    origin = registry.folder(registry.get(champion)) / "lineage.json"
    made = json.loads(origin.read_text(encoding="utf-8")).get("packages", {})
    for name, here in package_versions().items():
        if made.get(name, here) != here:
            value = f"{name} {here}; the champion was made by {made[name]}"
            yield Finding("champion's packages", value, NOTE)


def examine(paths: Paths, params: Params) -> list[Finding]:
    """Look at everything; an examination that fails is itself a finding."""
    root = paths.params.absolute().parent
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("packages", _packages),
        ("device", _device),
        ("stores", lambda: _stores(paths)),
        ("disk", lambda: _disk(paths, params)),
        ("servers", lambda: map(judge_server, servers(run=root / ".run"))),
        ("backends", lambda: _backends(paths)),
        ("registry", lambda: _registry(paths)),
    ]
    findings = []
    for name, part in parts:
        try:
            for finding in part():
                findings.append(finding)
        except Exception as err:  # a broken store must not hide the rest
            findings.append(Finding(name, type(err).__name__, WRONG, str(err)))
    return [
        replace(found, value=hide_passwords(found.value), advice=hide_passwords(found.advice))
        for found in findings
    ]


def _packages() -> Iterator[Finding]:
    yield Finding("python", sys.version.split()[0])
    for name, extra in (*((name, None) for name in PACKAGES), *EXTRAS.items()):
        try:
            yield Finding(name, installed(name))
        except PackageNotFoundError:
            if extra:
                yield Finding(name, f"absent (extra {extra})", NOTE)
            else:
                yield Finding(name, "absent", WRONG, "Install from requirements.lock.")


def _device() -> Iterator[Finding]:
    for k in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(k)
        yield Finding(f"cuda:{k}", f"{facts.name}, {facts.total_memory / GB:.0f} GB")
    n = torch.get_num_threads()
    yield Finding("cpu", f"{n} thread{'' if n == 1 else 's'}")


def _stores(paths: Paths) -> Iterator[Finding]:
    yield Finding("tracking", hide_passwords(store_uri(paths)))
    for column, addresses in elsewhere(paths).items():
        yield Finding(
            column, f"{len(addresses)} outside {paths.mlruns}", NOTE,
            f"For example {addresses[0]}. Files there are neither read nor changed. A store that"
            " was moved or copied here is turned to this place by the next command that changes"
            " it, as hms gc; other addresses need a copy of the database"
            " (docs/how-to/operations.md).",
        )  # fmt: skip
    for name, folder in (
        ("data", paths.data),
        ("artifacts", paths.artifacts),
        ("mlruns", paths.mlruns),
        ("dvc cache", paths.params.absolute().parent / ".dvc" / "cache"),
    ):
        if folder.exists():
            yield Finding(name, f"{folder}: {_size(folder) / GB:.2f} GB")
        else:
            yield Finding(name, f"{folder}: absent", NOTE)


def _size(folder: Path) -> int:
    # Hard links of one file count once.
    sizes = {
        (stat.st_dev, stat.st_ino): stat.st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for stat in (path.stat(),)
    }
    return sum(sizes.values())


def _disk(paths: Paths, params: Params) -> Iterator[Finding]:
    try:
        needed, free = check_disk(paths, params)
    except InputError as err:
        yield Finding("disk", "too little", WRONG, str(err))
        return
    yield Finding("disk", f"{free / GB:.0f} GB free, a retrain writes up to {needed / GB:.2f} GB")


def judge_server(server: Server) -> Finding:
    """A server that others reach has to ask for a password; one on loopback need not."""
    state = server.state()
    shown = f"{server.url}: {'answers' if state == OPEN else state}"
    if state == CLOSED and server.user:
        if not server.knows_user():
            return Finding(
                server.name, f"{server.url}: refuses user {server.user!r}", WRONG,
                "Set the server's user and password (docs/how-to/team.md).",
            )  # fmt: skip
        shown += f", knows {server.user!r}"
    if server.loopback or state == CLOSED:
        return Finding(server.name, shown)
    if state == OPEN:
        return Finding(
            server.name, f"{server.url}: open to everybody who reaches it", WRONG,
            "Turn on its authentication (docs/how-to/operations.md), or let it listen on"
            " 127.0.0.1.",
        )  # fmt: skip
    return Finding(server.name, shown, NOTE)


def _backends(paths: Paths) -> Iterator[Finding]:
    """Databases and buckets: what, as whom, how full."""
    asked: list[Bucket | Database] = [*backends()]
    remote = dvc_remote(paths.params.absolute().parent)
    if isinstance(remote, Bucket):
        asked.append(remote)
    elif remote is not None:
        yield Finding("DVC's remote", hide_passwords(remote))
    for backend in asked:
        try:
            yield Finding(backend.name, backend.state())
        except InputError as err:
            yield Finding(backend.name, "does not answer", WRONG, str(err))


def _registry(paths: Paths) -> Iterator[Finding]:
    if not has_store(paths):
        yield Finding(CHAMPION, "none", NOTE)
        return
    for model in (paths, paths.student):
        yield from _model(Registry.open(model))


def _model(registry: Registry) -> Iterator[Finding]:
    """A registered model's ledger and its champion."""
    yield from check_ledger(registry)
    number = registry.champion()
    if number is None:
        yield Finding(CHAMPION, f"{registry.model}: none", NOTE)
        return
    named = f"{registry.model} version {number}"
    try:
        registry.verify(registry.get(number))
        yield Finding(CHAMPION, f"{named}, verified")
        yield from _made_by(registry, number)
    except InputError as err:
        yield Finding(CHAMPION, named, WRONG, str(err))


def check_ledger(registry: Registry) -> Iterator[Finding]:
    """Hold aliases and versions against the ledger."""
    try:
        registry.ledger.need_whole()
    except InputError as err:
        yield Finding("ledger", "broken chain", WRONG, str(err))
        return
    records = registry.ledger.read()
    if not records and not is_own(registry.paths) and registry.versions():
        yield Finding(
            "ledger", f"{registry.model}: none yet", WRONG,
            "An earlier release registered its versions. hms gc --keep 1000 takes over the ledger.",
        )  # fmt: skip
        return
    yield Finding("ledger", f"{registry.model}: {len(records)} records")
    if registry.ledger.pending():
        yield Finding(
            "ledger", "unfinished promotion", WRONG,
            "A process was killed while it promoted. The next hms register, promote or gc"
            " finishes it.",
        )  # fmt: skip
        return
    champions = registry.ledger.champions()
    expected, actual = (champions[-1] if champions else None), registry.champion()
    if expected != actual:
        yield Finding(
            CHAMPION, f"{registry.model} version {actual}", WRONG,
            f"The ledger says version {expected}: the alias was moved, or its version deleted,"
            f" behind the ledger's back. Run hms promote {expected} or hms promote of the one you"
            " want, with a reason.",
        )  # fmt: skip
    registered = {r["version"] for r in records if r["action"] == "register"}
    deleted = {r["version"] for r in records if r["action"] == "delete"}
    there = {int(version.version) for version in registry.versions()}
    for version in sorted(registered - deleted - there):
        yield Finding(
            f"version {version}", "gone", WRONG,
            f"{registry.model} version {version} was deleted behind the ledger's back. Use"
            " hms gc to remove versions; register its commit again to have it back.",
        )  # fmt: skip
    for version in sorted(there - registered):
        yield Finding(
            f"version {version}", "not in the ledger", WRONG,
            "It was registered by other means. Remove it, or register with hms register.",
        )  # fmt: skip
