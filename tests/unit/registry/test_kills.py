"""Processes killed while and after an alias moves, or while a moved store is turned."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from hms_pipeline.registry import api
from hms_pipeline.registry.doctor import WRONG, check_ledger
from hms_pipeline.registry.versions import Registry
from hms_pipeline.tracking import places
from hms_pipeline.tracking.store import database, elsewhere

from ...forked import forked
from .conftest import addresses, at, copied, stamp

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WAITS_S = 120  # for a process that has yet to load what it needs
# One kill while the change waits to begin, four from when it may, five from when it came back.
MOMENTS = (("waits", 0.0), *(("begins", s) for s in (0.0, 0.002, 0.005, 0.01)),
           *(("done", s) for s in (0.0, 0.005, 0.01, 0.02, 0.04)))  # fmt: skip


def promoting(root: Path, events: dict[str, Event]) -> None:
    """Promote version 1, telling when the alias is about to move and when it has."""
    from mlflow import MlflowClient

    honest = MlflowClient.set_registered_model_alias
    MlflowClient.set_registered_model_alias = _told(honest, events)
    api.promote(at(root), 1, "it is better")
    signal.pause()


def turning(root: Path, events: dict[str, Event]) -> None:
    """Change a store that was moved, telling when its addresses are about to be turned."""
    honest = places._turn
    places._turn = lambda *given: _told(honest, events)(*given)
    api.gc(at(root), keep=9)
    signal.pause()


def _told(change: Callable, events: dict[str, Event]) -> Callable:
    def told(*given: object) -> object:
        events["waits"].set()
        events["begins"].wait()
        found = change(*given)
        events["done"].set()
        return found

    return told


def kill(what: Callable, root: Path, moment: str, later_s: float) -> None:
    """Run ``what`` in a process and kill it so long after a moment of the change."""
    context = forked()
    events = {name: context.Event() for name in ("waits", "begins", "done")}
    process = context.Process(target=what, args=(root, events), daemon=True)
    process.start()
    assert events["waits"].wait(WAITS_S)
    if moment != "waits":
        events["begins"].set()
    assert events[moment].wait(WAITS_S)
    time.sleep(later_s)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def agree(paths) -> None:
    """Aliases, ledger and files say the same, and nothing lies elsewhere."""
    registry = Registry.open(paths)
    assert [f.advice for f in check_ledger(registry) if f.state == WRONG] == []
    assert registry.ledger.pending() is None
    assert api.model_of(paths)[0] == registry.ledger.champions()[-1] == registry.champion()
    assert elsewhere(paths) == {}
    with closing(sqlite3.connect(database(paths))) as link:
        assert link.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_around_an_alias_move(project, capsys):
    champions = []
    for number, moment in enumerate(MOMENTS):
        copy = copied(project, f"copy-{number}")
        kill(promoting, copy.paths.params.parent, *moment)
        champion, _ = api.model_of(copy.paths)  # scored with, before anything is finished
        assert api.gc(copy.paths, keep=9) == []
        agree(copy.paths)
        assert api.model_of(copy.paths)[0] == champion
        assert api.promote(copy.paths, 3 - champion, "the next command") == 3 - champion
        agree(copy.paths)
        champions.append(champion)
    told(capsys, champions.count(1), "the alias had moved")
    assert champions[0] == 2
    assert champions[5:] == [1] * 5


@pytest.mark.parametrize("moved", [False, True])
def test_around_a_stores_turning(project, moved, capsys):
    original, turned = stamp(project.paths.mlruns), []
    for number, moment in enumerate(MOMENTS):
        here = copied(project, f"copy-{number}")
        if moved:
            root = here.paths.params.parent
            here = replace(here, paths=at(root.rename(root.with_name(f"moved-{number}"))))
        kill(turning, here.paths.params.parent, *moment)
        inside = (here.paths.mlruns / "artifacts").as_uri()
        (whole,) = {uri.startswith(inside) for uri in addresses(here.paths)}  # all or none
        turned.append(whole)
        assert api.model_of(here.paths)[0] == 2
        assert here.add("three") == 3
        agree(here.paths)
        assert all(uri.startswith(inside) for uri in addresses(here.paths))
        with closing(sqlite3.connect(here.paths.mlruns / places.KEPT)) as link:
            assert link.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert stamp(project.paths.mlruns) == original
    told(capsys, sum(turned), "the addresses had been turned")
    assert not turned[0]
    assert turned[-1]


def told(capsys, n: int, what: str) -> None:
    with capsys.disabled():
        print(f"{len(MOMENTS)} kills, {n} after {what}")  # noqa: T201
