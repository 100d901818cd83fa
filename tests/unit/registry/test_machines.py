"""Several machines, each with a checkout of its own, on one MLflow server.

``HMS_TEST_STORE`` names a database to use instead of sqlite, as postgresql://…;
``HMS_DECISIONS`` says how often the twenty decisions are made.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from hms_pipeline.registry import api, decisions, promotion
from hms_pipeline.registry.decisions import Decisions
from hms_pipeline.registry.doctor import WRONG, check_ledger
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.errors import InputError, StaleError

from ...forked import forked
from .conftest import Shelf, at

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

DEAD_S = 6.0


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    store = os.environ.get("HMS_TEST_STORE", f"sqlite:///{folder}/server.db")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "2", "--backend-store-uri", store, "--serve-artifacts"]
    command += ["--artifacts-destination", str(folder / "files")]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=env, cwd=folder, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/health") or process.poll() is not None, 120)
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for(what: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def machine(server, tmp_path, monkeypatch) -> Callable[[str], Shelf]:
    """A checkout on the server by its name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    hurry()

    def made(name: str) -> Shelf:
        shelf = Shelf(at(tmp_path / name))
        shelf.paths.mlruns.mkdir(parents=True, exist_ok=True)
        return shelf

    yield made
    decisions.BEAT_S, decisions.DEAD_S, decisions.POLL_S = 5.0, 60.0, 0.5


def hurry() -> None:
    decisions.BEAT_S, decisions.DEAD_S, decisions.POLL_S = 0.5, DEAD_S, 0.1


def started(work: Callable, shelf: Shelf, *given: object) -> BaseProcess:
    """Work as another machine's process does it."""
    where = (os.environ["MLFLOW_TRACKING_URI"], shelf.paths.params.parent)
    process = forked().Process(target=begun, args=(work, *where, *given))
    process.start()
    return process


def begun(work: Callable, uri: str, root: Path, *given: object) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = uri
    hurry()
    try:
        work(Shelf(at(root)), *given)
    except StaleError as err:
        (root / "refused").write_text(str(err))
        sys.exit(3)


def agree(shelf: Shelf) -> None:
    registry = shelf.registry
    assert [found.advice for found in check_ledger(registry) if found.state == WRONG] == []
    assert registry.ledger.pending() is None
    assert registry.ledger.champions()[-1] == registry.champion()
    assert Decisions(registry.client)._tickets() == []


def hold(shelf: Shelf, seconds: float = 3600, clock_off_s: float = 0) -> None:
    honest = time.time
    time.time = lambda: honest() + clock_off_s
    with Registry.changing(shelf.paths):
        (shelf.paths.mlruns / "holds").touch()
        time.sleep(seconds)
        (shelf.paths.mlruns / "ends").touch()


def holder(machine, name: str, *given: float) -> tuple[Shelf, BaseProcess]:
    shelf = machine(name)
    process = started(hold, shelf, *given)
    wait_for((shelf.paths.mlruns / "holds").exists)
    return shelf, process


@pytest.mark.parametrize("own", [True, False], ids=["its own checkout", "another machine"])
def test_a_killed_machines_lock_is_freed(machine, own):
    shelf, process = holder(machine, f"killed-{own}")
    process.kill()
    process.join()
    other = shelf if own else machine("other")
    if own:
        decisions.DEAD_S = 60.0  # far more than it needs without waiting
    begin = time.monotonic()
    version = other.add(f"after the kill {own}")
    seconds = time.monotonic() - begin
    assert (seconds < decisions.DEAD_S / 2) if own else (seconds > DEAD_S - 1)
    other.promote(version)
    agree(other)


def test_a_holder_whose_clock_is_off_keeps_the_lock(machine):
    shelf, process = holder(machine, "off", 2 * DEAD_S, 600)
    other = machine("other")
    version = other.add("beside")
    assert (shelf.paths.mlruns / "ends").exists()  # it waited for the holder
    process.join()
    assert process.exitcode == 0
    other.promote(version)
    agree(other)


def promote_late(shelf: Shelf, version: int, at_the_move: bool) -> None:
    """Promote, suspended before the last look at the lock, or between it and the alias' move."""
    from mlflow import MlflowClient

    honest_move, honest_alias = promotion._move, MlflowClient.set_registered_model_alias

    def suspended(*given: object) -> None:
        if not (shelf.paths.mlruns / "stopped").exists():
            (shelf.paths.mlruns / "stopped").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        (honest_alias if at_the_move else honest_move)(*given)

    if at_the_move:
        MlflowClient.set_registered_model_alias = suspended
    else:
        promotion._move = suspended
    api.promote(shelf.paths, version, "too late")


@pytest.mark.parametrize("at_the_move", [False, True])
def test_a_machine_suspended_for_too_long_does_not_decide(machine, at_the_move):
    shelf, other = machine(f"suspended-{at_the_move}"), machine("other")
    late, version = (shelf.add(f"{name} {at_the_move}") for name in ("late", "better"))
    process = started(promote_late, shelf, late, at_the_move)
    wait_for((shelf.paths.mlruns / "stopped").exists)
    other.promote(version)
    os.kill(process.pid, signal.SIGCONT)
    process.join()
    assert process.exitcode == 3
    said = (shelf.paths.params.parent / "refused").read_text()
    assert "Run the command again" in said
    assert other.registry.champion() == version
    assert [record["to"] for record in other.registry.ledger.read()[-4:] if "to" in record] == [
        late, late, version, version,
    ]  # fmt: skip
    assert other.actions()[-4:] == ["intent", "abort", "intent", "commit"]
    agree(other)
    api.promote(shelf.paths, late, "once more")
    agree(other)


def decide(shelf: Shelf, name: str, n: int, first: int) -> None:
    """Register versions and promote them, and promote one of all machines' in between."""
    for k in range(n):
        version = shelf.add(f"{name} {k}")
        shelf.promote(version, "manual")
        if k % 2:
            try:
                api.promote(shelf.paths, first, f"{name} wants it back")
            except InputError as err:
                if "is the champion already" not in str(err):
                    raise


@pytest.mark.parametrize("nth", range(int(os.environ.get("HMS_DECISIONS", "1"))))
def test_twenty_decisions_of_three_machines_at_once(machine, nth):
    names = [f"{name}, {nth}" for name in ("one", "two", "three")]
    shelves = [machine(f"decides-{name}") for name in names]
    first = shelves[0].add(f"the first, {nth}")
    before = shelves[0].registry.ledger.read()
    counts = (4, 3, 3)  # twenty registrations and promotions, and what goes back in between
    processes = [
        started(decide, shelf, name, n, first)
        for shelf, name, n in zip(shelves, names, counts, strict=True)
    ]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    for shelf in shelves:
        agree(shelf)
    ledgers = [shelf.registry.ledger.lines for shelf in shelves]
    assert ledgers[0] == ledgers[1] == ledgers[2]
    made = shelves[1].registry.ledger.read()[len(before) :]
    registered = [record for record in made if record["action"] == "register"]
    wanted = {f"{name} {k}" for name, n in zip(names, counts, strict=True) for k in range(n)}
    assert {record["content_hash"] for record in registered} == wanted
    assert len(registered) == len(wanted)
    promoted = {record["to"] for record in made if record["action"] == "commit"}
    assert promoted >= {record["version"] for record in registered}
    last = None
    for record in made:  # every decision knew the one before
        if record["action"] == "commit":
            assert last is None or record["from"] == last
            last = record["to"]
    for version in shelves[2].registry.versions()[: len(wanted)]:
        shelves[2].registry.verify(version)
