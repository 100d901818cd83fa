"""Checks of drift gather in one run, a curve over the days for every quantity."""

from __future__ import annotations

from pathlib import Path

from hms_pipeline.tracking import drift
from hms_pipeline.tracking.places import own_place
from hms_pipeline.tracking.store import open_client

from .conftest import Shelf


def test_days_are_steps_of_one_run(shelf: Shelf, tmp_path: Path, monkeypatch) -> None:
    plot = tmp_path / "drift.png"
    for day, psi in ((20_000, 0.1), (20_001, 0.4)):
        plot.write_bytes(str(psi).encode())
        monkeypatch.setattr(drift.time, "time", lambda day=day: day * 86400.0)
        run = drift.log_drift(shelf.paths, {"predictions lpd": psi, "mel mean": 0.0}, plot)
    client = open_client(shelf.paths)
    history = client.get_metric_history(run, "psi/predictions lpd")
    assert [(m.step, m.value) for m in history] == [(20_000, 0.1), (20_001, 0.4)]
    assert client.get_run(run).info.status == "FINISHED"
    assert (own_place(shelf.paths, run) / "plot" / "drift.png").read_bytes() == b"0.4"
    assert drift.read_drift(shelf.paths) == {
        "predictions lpd": {20_000: 0.1, 20_001: 0.4},
        "mel mean": {20_000: 0.0, 20_001: 0.0},
    }


def test_before_the_first_check_nothing_moved(shelf: Shelf) -> None:
    assert drift.read_drift(shelf.paths) == {}
