"""The demo's beginning: sample data and Prefect's temporary server, beside each other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flows import demo


def test_a_sample_that_fails_does_not_wait_for_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    never, begun = threading.Event(), threading.Event()

    def fail(data: Path) -> None:
        assert begun.wait(60)
        demo.end_where_failed(2)

    monkeypatch.setattr(demo, "load_params", lambda path: None)
    monkeypatch.setattr(demo, "start_prefect", lambda: (begun.set(), never.wait()))
    monkeypatch.setattr(demo, "prepare_data", fail)
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 2
    never.set()


def test_a_server_that_does_not_start_is_left_to_the_retrain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(root: Path) -> None:
        raise RuntimeError("no free port")

    monkeypatch.setattr(demo.retrain, "load", fail)
    demo.start_prefect()
