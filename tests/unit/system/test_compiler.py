"""Compilation: whose turn it is, what is said when it fails, and that it computes the same."""

from __future__ import annotations

import logging
import multiprocessing as mp
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hms_pipeline.system import compiler
from hms_pipeline.system.compiler import CACHE, SWITCH, compiled


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiler, "_failed", set())
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.delenv(SWITCH, raising=False)


def fail() -> None:
    raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")


def test_the_result_is_handed_on():
    assert compiled("network", lambda: 7) == 7


def test_a_failure_is_said_once_and_not_tried_again(caplog: pytest.LogCaptureFixture):
    tried = []
    with caplog.at_level(logging.WARNING):
        for what in ("one", "one", "other"):
            assert compiled(what, lambda: (tried.append(1), fail())) is None
    assert len(tried) == 2
    (record,) = caplog.records
    assert "Failed to find C compiler" in record.message


def test_memory_that_is_short_is_no_failure_of_the_compiler():
    def make() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        compiled("network", make)


def test_switched_off_nothing_is_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SWITCH, "off")
    assert compiled("network", fail) is None


def compile_slowly(folder: str, marks: str) -> None:
    import os

    os.environ[CACHE] = folder

    def make() -> bool:
        with Path(marks).open("a", encoding="utf-8") as stream:
            stream.write(f"{time.monotonic()} ")
        time.sleep(0.3)
        return True

    assert compiled("network", make)


def test_of_several_processes_one_compiles_while_the_others_wait(tmp_path: Path):
    marks = tmp_path / "marks"
    context = mp.get_context("fork")
    processes = [
        context.Process(target=compile_slowly, args=(str(tmp_path), str(marks))) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    begun = sorted(map(float, marks.read_text(encoding="utf-8").split()))
    assert len(begun) == 3
    assert begun[1] - begun[0] >= 0.3  # alone until it was done
    assert begun[2] - begun[0] < 0.9  # then together


def test_a_failed_compilation_leaves_the_turn_to_the_next(tmp_path: Path):
    assert compiled("network", fail) is None
    assert not list(tmp_path.glob("*.done"))
    compiler._failed.clear()  # as another process
    assert compiled("network", lambda: 1) == 1
    assert len(list(tmp_path.glob("*.done"))) == 1


BUILD = """
import sys
import torch
from hms_pipeline.inference.networks import Undrawn
from hms_pipeline.models import MODELS
from hms_pipeline.system.compiler import without_compiler
with without_compiler(), torch.device("meta"), Undrawn():
    for name in MODELS:
        waves, image = (18, 2000), (4, 64, 64)
        MODELS[name]({"eegnet": [waves], "multi": [waves, image]}.get(name, [image]))
loaded = {"torch._dynamo", "torch._inductor", "sympy", "triton"} & sys.modules.keys()
assert not loaded, loaded
"""
ASK = """
from torchvision.ops import roi_align
asked = roi_align.__globals__["is_compile_supported"]
from torch._dynamo.utils import is_compile_supported
assert asked is not is_compile_supported and asked("cpu") == is_compile_supported("cpu")
twice = torch.compile(lambda x: 2 * x, backend="eager")
assert twice(torch.ones(2)).tolist() == [2, 2]
real = sys.modules["torch._dynamo"]
with without_compiler():
    assert sys.modules["torch._dynamo"] is real
assert sys.modules["torch._dynamo"] is real
"""


def test_networks_are_built_without_it_and_it_is_there_when_asked_for():
    done = subprocess.run([sys.executable, "-c", BUILD + ASK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
