"""The lock and the lines that all machines share, on one machine: quick, without a server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from hms_pipeline.registry import decisions, promotion
from hms_pipeline.registry.decisions import BEAT, NAME, OWNER, Decisions, Watch
from hms_pipeline.registry.ledger import Ledger
from hms_pipeline.registry.versions import TICKET, Registry
from hms_pipeline.system.errors import InputError, StaleError

pytestmark = pytest.mark.filterwarnings("ignore")


def ticket(version: str, count: str) -> SimpleNamespace:
    return SimpleNamespace(version=version, tags={OWNER: "someone", BEAT: count})


@pytest.fixture
def clock(monkeypatch):
    """This machine's clock, to be set."""
    now = SimpleNamespace(value=1000.0)
    monkeypatch.setattr(decisions.time, "monotonic", lambda: now.value)
    return now


def looked(watch: Watch, clock, seconds: float, count: str = "7", step: float = 0.5) -> list:
    found = []
    for _ in range(round(seconds / step)):
        clock.value += step
        found = watch.dead([ticket("3", count)])
    return found


def test_whose_count_stands_still_is_dead(clock):
    watch = Watch()
    assert looked(watch, clock, decisions.DEAD_S) == []
    assert [found.version for found in looked(watch, clock, 1.0)] == ["3"]


def test_whose_count_moves_lives(clock):
    watch = Watch()
    for count in range(5):
        assert looked(watch, clock, decisions.DEAD_S - 1, str(count)) == []


def test_time_in_which_the_store_did_not_answer_makes_nobody_dead(clock):
    watch = Watch()
    looked(watch, clock, 5.0)
    assert looked(watch, clock, 3600.0, step=3600.0) == []  # away, or this process was suspended
    assert looked(watch, clock, decisions.DEAD_S - 10) == []


@pytest.fixture
def quick(monkeypatch):
    for name, seconds in (("BEAT_S", 0.05), ("DEAD_S", 3.0), ("POLL_S", 0.02)):
        monkeypatch.setattr(decisions, name, seconds)


def tickets(shelf) -> list[str]:
    return [found.version for found in Decisions(shelf.registry.client)._tickets()]


def test_those_who_want_the_lock_get_it_one_after_the_other(shelf, quick, tmp_path):
    inside, most = [], []

    def work(name: str) -> None:
        with Decisions(client).alone(tmp_path / name):
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.1)
            inside.remove(name)

    shelf.add("one")
    client = shelf.registry.client
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert most == [1, 1, 1, 1]
    assert tickets(shelf) == []


def test_a_killed_process_lock_is_freed_by_its_checkout_at_once(shelf):
    shelf.add("one")
    Decisions(shelf.registry.client)._create({decisions.TICKET: "t", OWNER: "me", BEAT: "0"})
    (shelf.paths.mlruns / TICKET).write_text("t")
    begin = time.monotonic()
    shelf.promote(1)
    assert time.monotonic() - begin < decisions.DEAD_S / 2
    assert tickets(shelf) == []


def test_another_machines_dead_lock_is_taken_over_and_a_live_one_waited_for(shelf, quick, tmp_path):
    shelf.add("one")
    Decisions(shelf.registry.client)._create({decisions.TICKET: "t", OWNER: "dead", BEAT: "0"})
    begin = time.monotonic()
    shelf.promote(1)
    assert time.monotonic() - begin >= decisions.DEAD_S
    alive = Decisions(shelf.registry.client)
    waiting = Decisions(shelf.registry.client)
    with (
        alive.alone(tmp_path / "alive"),
        pytest.raises(InputError, match="others have held it for 6 s, now .*Wait for them"),
        waiting.alone(tmp_path / "waiting", timeout_s=2 * decisions.DEAD_S),
    ):
        pass
    assert tickets(shelf) == []


def lose(registry: Registry) -> None:
    """What happens to a holder that others heard nothing of."""
    registry.client.delete_model_version(NAME, registry.decisions.number)


STEPS = {
    "register": lambda r: r.ledger.append("register", version=9, content_hash="nine"),
    "promote": lambda r: promotion.promote(r, r.get(2), "it is better", "manual"),
    "rollback": lambda r: promotion.rollback(r, "it is worse"),
    "refuse": lambda r: promotion.refuse(r, r.get(2), ["worse"], "t"),
    "create": lambda r: r.create(r.get(2).run_id, r.folder(r.get(2)), {}),
}


@pytest.mark.parametrize("step", STEPS)
def test_who_lost_the_lock_changes_nothing(project, step):
    before = project.actions()
    with Registry.changing(project.paths) as registry:
        lose(registry)
        with pytest.raises(StaleError, match=r"another process has taken it over.*Run the command"):
            STEPS[step](registry)
    assert project.registry.champion() == 2
    assert project.actions() == before
    assert [int(version.version) for version in project.registry.versions()] == [2, 1]


@pytest.mark.parametrize("decided", ["nothing", "another version", "the same version"])
def test_an_alias_moved_after_the_lock_was_lost_is_as_the_ledger_says(
    project, monkeypatch, decided, tmp_path
):
    """The lock goes between the last look at it and the move, which MLflow cannot make one."""
    version = project.add("three")
    client = type(project.registry.client)
    honest, late = client.set_registered_model_alias, []

    def move(self, model: str, alias: str, number: str) -> None:
        if not late:
            late.append(True)
            lose(SimpleNamespace(client=self, decisions=late_registry.decisions))
            (project.paths.mlruns / TICKET).unlink()
            if decided != "nothing":
                with Registry.of(project.paths, self).held() as other:
                    to = version if decided == "the same version" else 1
                    promotion.promote(other, other.get(to), "meanwhile", "manual")
        honest(self, model, alias, number)

    monkeypatch.setattr(client, "set_registered_model_alias", move)
    with Registry.changing(project.paths) as late_registry:
        found = late_registry.get(version)
        if decided == "another version":
            with pytest.raises(StaleError, match="not the champion.*the champion is 1. Run"):
                promotion.promote(late_registry, found, "it is better", "manual")
        else:
            promotion.promote(late_registry, found, "it is better", "manual")
    champion = 1 if decided == "another version" else version
    assert project.registry.champion() == champion == project.registry.ledger.champions()[-1]
    assert project.registry.ledger.pending() is None
    project.add("four")  # the next one finds nothing in the way


def test_of_two_next_lines_the_first_counts(shelf):
    shelf.add("one")
    with Registry.changing(shelf.paths) as one:
        other = Ledger(None, one.model, one.decisions)
        assert len(other.read()) == len(one.ledger.read()) == 1
        other.append("refuse", version=1, content_hash="one")
        with pytest.raises(StaleError, match="written by another process"):
            one.ledger.append("delete", version=1)
    assert shelf.actions() == ["register", "refuse"]
    shelf.promote(1)
    shelf.registry.ledger.need_whole()
    assert shelf.actions() == ["register", "refuse", "intent", "commit"]


def test_a_line_asked_for_twice_is_one(shelf, monkeypatch):
    """MLflow's client asks again where an answer was lost on the way."""
    honest = Decisions._create
    monkeypatch.setattr(
        Decisions, "_create", lambda self, tags: (honest(self, tags), honest(self, tags))[0]
    )
    shelf.add("one")
    shelf.promote(1)
    assert shelf.actions() == ["register", "intent", "commit"]
    assert tickets(shelf) == []


def test_a_line_removed_from_the_store_is_noticed(shelf):
    shelf.add("one")
    shelf.promote(1)
    shelf.paths.ledger.unlink()  # as on a machine that has no file
    client = shelf.registry.client
    lines = [v for v in decisions.search(client, f"name = '{NAME}'") if decisions.LINE in v.tags]
    client.delete_model_version(NAME, lines[0].version)
    with pytest.raises(InputError, match=r"does not verify.*line 1 of the ledger does not follow"):
        shelf.registry.verify(shelf.registry.get(1))


def test_a_full_disk_is_said_with_the_locks_file_and_leaves_it_whole(shelf, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    shelf.add("one")
    before = tickets(shelf)
    monkeypatch.setattr("pathlib.Path.write_text", full)
    with (
        pytest.raises(OSError, match="lock-of-this") as said,
        Decisions(shelf.registry.client).alone(tmp_path / "lock-of-this"),
    ):
        pass
    assert said.value.filename == str(tmp_path / "lock-of-this")
    assert tickets(shelf) == before
    assert not list(tmp_path.glob("*lock-of-this"))
