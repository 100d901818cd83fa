import json
import threading
import time

import pytest

from hms_pipeline.registry.ledger import Ledger
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.locks import locked


def promoted(ledger: Ledger, version: int, kind: str = "gate", before: int | None = None) -> None:
    facts = {"kind": kind, "from": before, "to": version, "reason": "why"}
    content = {"content_hash": f"c{version}", "from_networks": f"n{before}"}
    ledger.append("intent", **facts, **content)
    ledger.append("commit", **facts, **content)


def test_chain_is_whole_and_names_a_changed_line(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for version in (1, 2, 3):
        ledger.append("register", version=version, content_hash=str(version))
    ledger.need_whole()
    lines = ledger.path.read_text().splitlines()
    record = json.loads(lines[1]) | {"version": 9}
    ledger.path.write_text("\n".join([lines[0], json.dumps(record), lines[2]]) + "\n")
    with pytest.raises(InputError, match="line 2 of the ledger was changed"):
        Ledger(ledger.path).need_whole()


def test_a_removed_line_breaks_the_chain(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for version in (1, 2, 3):
        ledger.append("register", version=version, content_hash=str(version))
    lines = ledger.path.read_text().splitlines()
    ledger.path.write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(InputError, match="does not follow"):
        Ledger(ledger.path).need_whole()


def test_a_line_cut_off_by_a_kill_never_counted(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("register", version=1, content_hash="a")
    with ledger.path.open("a") as stream:
        stream.write('{"action": "refu')
    ledger = Ledger(ledger.path)
    assert len(ledger.read()) == 1
    ledger.append("register", version=2, content_hash="b")
    ledger = Ledger(ledger.path)
    assert [record["version"] for record in ledger.read()] == [1, 2]
    ledger.need_whole()


def test_an_intent_is_pending_until_something_came_of_it(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    promoted(ledger, 1)
    assert ledger.pending() is None
    ledger.append("intent", to=2)
    assert ledger.pending()["to"] == 2
    ledger.append("abort", to=2)
    assert ledger.pending() is None
    assert ledger.champions() == [1]


def test_what_was_refused_or_rolled_back_is_barred(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    assert ledger.barred("c2", "n2", "t") is None
    promoted(ledger, 1, kind="rollback", before=2)
    assert "rolled back" in ledger.barred("other code", "n2", "t")
    assert ledger.barred("c1", "n1", "t") is None
    ledger.append("refuse", version=3, content_hash="c3")
    assert ledger.barred("other code", "n3", "t") is None
    assert "version 3" in ledger.barred("c3", "n3", "t")


def test_lock_lets_one_in_at_a_time(tmp_path):
    inside, most = [], []

    def work() -> None:
        with locked(tmp_path / "a.lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_lock_gives_up_with_a_sentence(tmp_path):
    with (
        locked(tmp_path / "a.lock"),
        pytest.raises(InputError, match=r"a\.lock.*another process"),
        locked(tmp_path / "a.lock", timeout_s=0.1),
    ):
        pass


def test_a_rollback_that_did_not_happen_bars_nothing(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    facts = {"kind": "rollback", "from": 2, "to": 1, "reason": "why"}
    content = {"content_hash": "c1", "from_networks": "n2"}
    ledger.append("intent", **facts, **content)
    assert ledger.barred("other code", "n2", "t") is None
    ledger.append("abort", **facts, **content)
    assert ledger.barred("other code", "n2", "t") is None
    assert ledger.succession() == [1, 2]


def test_the_succession_is_what_rollbacks_left(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    promoted(ledger, 3, before=2)
    promoted(ledger, 1, kind="rollback", before=3)
    assert ledger.succession() == [1]
    promoted(ledger, 2, kind="manual", before=1)
    promoted(ledger, 4, before=2)
    assert ledger.succession() == [1, 2, 4]


def test_a_line_that_is_not_json_is_named(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for version in (1, 2, 3):
        ledger.append("register", version=version, content_hash=str(version))
    lines = ledger.path.read_text().splitlines()
    ledger.path.write_text("\n".join([*lines[:2], "{", ""]))
    with pytest.raises(InputError, match="^Line 3 of the ledger needs to be JSON"):
        Ledger(ledger.path).pending()
    with pytest.raises(InputError, match="line 3 of the ledger is not JSON"):
        Ledger(ledger.path).need_whole()
