"""The self-check tells a broken model from a broken machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from hms_pipeline.config import Paths, load_params
from hms_pipeline.ensemble.oof import OutOfFold
from hms_pipeline.registry import evidence
from hms_pipeline.registry.gate import failed
from hms_pipeline.schema import CLASSES, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError

MADE = SimpleNamespace(oof=None)
PARAMS = load_params(Path(__file__).parents[3] / "params.yaml")


def check(monkeypatch: pytest.MonkeyPatch, model: Path, error: Exception):
    def fail(*args: object) -> None:
        try:
            raise error
        except RuntimeError as err:
            raise ValueError("The server could not answer.") from err

    monkeypatch.setattr(evidence, "_some_windows", lambda *args: pd.DataFrame())
    monkeypatch.setattr(evidence, "_try_out", fail)
    return evidence.model_checks(Paths(), PARAMS, model, MADE)[0]


@pytest.mark.parametrize(
    "error",
    [
        OSError("no space left on device"),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_a_broken_machine_refuses_no_model(monkeypatch, tmp_path, error):
    with pytest.raises((OSError, MemoryError, ValueError)):
        check(monkeypatch, tmp_path, error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "error", [InputError("Row 0 is not finite."), RuntimeError("mat1 and mat2"), KeyError("x")]
)
def test_a_broken_model_is_refused(monkeypatch, tmp_path, error):
    wrong = {found.name for found in failed(check(monkeypatch, tmp_path, error))}
    assert {"self_check", "latency_ms"} <= wrong


def test_data_that_cannot_be_read_refuse_no_model(monkeypatch, tmp_path):
    row = pd.DataFrame({"eeg_id": [1], "spectrogram_id": [2]})
    monkeypatch.setattr(evidence, "_some_windows", lambda *args: row)
    monkeypatch.setattr(evidence, "_try_out", lambda *args: pytest.fail("was tried"))
    with pytest.raises(InputError, match=r"1\.parquet is needed, but is not there"):
        evidence.model_checks(Paths(tmp_path), PARAMS, tmp_path, MADE)


def test_a_first_version_is_compared_with_what_the_other_folds_vote(monkeypatch):
    """By hand: each deciding window's loss of the mean vote shares of the other fold's."""
    votes = np.array(
        [[12, 0, 0, 0, 0, 6], [0, 14, 0, 0, 0, 0], [3, 0, 0, 0, 0, 9], [1, 0, 0, 0, 0, 0]]
    )
    ids, folds = np.array([3, 5, 8, 9]), np.array([0, 1, 0, 1])
    oof = OutOfFold(("m",), np.full((1, 4, 6), 1 / 6), ids, ids, folds, votes.astype(float))
    table = pd.DataFrame({"label_id": ids, "patient_id": ids, "fold": folds})
    table[list(VOTE_COLUMNS)] = votes
    table[list(CLASSES)] = 1 / 6
    deciding = table[:3]  # the last has one vote
    monkeypatch.setattr(evidence, "challenger_table", lambda *args: deciding)
    made = SimpleNamespace(oof=oof)
    checks, metrics = evidence.comparison(Paths(), PARAMS, None, made)
    target = votes / votes.sum(axis=1, keepdims=True)
    losses = []
    for k in range(3):
        prior = np.maximum(
            np.mean([target[j] for j in range(3) if folds[j] != folds[k]], axis=0), 1e-3
        )
        prior /= prior.sum()
        losses.append(sum(t * np.log(t / p) for t, p in zip(target[k], prior, strict=True) if t))
    assert metrics["kl_reference"] == pytest.approx(np.mean(losses))
    assert "of the prior on 3 windows of 3 patients" in checks[0].sentence
