from __future__ import annotations

from pathlib import Path

import pytest

from hms_pipeline.cli import progress
from hms_pipeline.cli.progress import EpochClock
from hms_pipeline.training.callback import TrainingCallback


class Heard(TrainingCallback):
    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.ended: Path | None = None

    def on_epoch(self, step: int, metrics: dict[str, float]) -> None:
        self.epochs.append(step)

    def on_end(self, manifest: dict, folder: Path) -> None:
        self.ended = folder


@pytest.fixture
def now(monkeypatch):
    time = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_speed_leaves_out_the_first_epoch_and_those_of_a_killed_run(now):
    heard, steps = Heard(), []
    clock = EpochClock(heard)
    clock.on_start({"batch_size": 64})
    clock.on_epoch(1, {"step": 100})  # read back from a checkpoint, in no time
    clock.on_epoch(2, {"step": 200})
    assert clock.sentence is None
    for epoch, seconds in ((3, 30.0), (4, 40.0), (5, 50.0)):
        now[0] = seconds
        clock.step(lambda done, total: steps.append(done), 100 * epoch, 500)
        clock.on_epoch(epoch, {"step": 100 * epoch})
    clock.on_end({}, Path("fold-0"))
    assert clock.sentence.startswith("Epochs after the first: 20.0 s, 640 windows/s")
    assert heard.epochs == [1, 2, 3, 4, 5]
    assert heard.ended == Path("fold-0")
    assert steps == [300, 400, 500]
