"""A store, ledger and two versions that an earlier release made go on under the present code.

``stores/1c5d97f.tar.xz`` is the folder ``mlruns`` of a project in /srv/hms that commit 1c5d97f
retrained twice on the tiny recipe. Plots and MLflow's copies of parameters were left out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hms_pipeline.registry import api, stage
from hms_pipeline.registry.doctor import WRONG, check_ledger
from hms_pipeline.registry.scoring import open_predictor
from hms_pipeline.registry.versions import Registry
from hms_pipeline.tracking.store import elsewhere

from ..ensembles import Maker, random_window

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
STORE = Path(__file__).parent / "stores" / "1c5d97f.tar.xz"


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """A project of the present code over the earlier store; champion is version 2."""
    torch.set_num_threads(1)
    maker = Maker(tmp_path / "project", n_patients=6)
    shutil.unpack_archive(STORE, maker.paths.mlruns.parent)
    return maker


def sound(maker: Maker) -> None:
    findings = check_ledger(Registry.open(maker.paths))
    assert [finding.advice for finding in findings if finding.state == WRONG] == []


def test_versions_are_listed_scored_and_rolled_back_to(maker):
    assert [(v["version"], v["verdict"]) for v in api.list_versions(maker.paths)] == [
        (2, "refused"), (1, "promoted"),
    ]  # fmt: skip
    assert api.describe(maker.paths, 1)["git_commit"].startswith("1c5d97f")
    windows = [random_window(k) for k in range(2)]
    answers = {}
    for version in (1, 2):
        answers[version] = open_predictor(maker.paths, version)[1].predict(windows).probs
        assert np.allclose(answers[version].sum(axis=1), 1)
    assert api.model_of(maker.paths)[0] == 2
    assert elsewhere(maker.paths) != {}  # readers turn nothing
    assert api.rollback(maker.paths, "to the earlier one") == 1
    assert elsewhere(maker.paths) == {}
    assert api.promote(maker.paths, 2, "and back") == 2
    assert np.array_equal(open_predictor(maker.paths, 2)[1].predict(windows).probs, answers[2])
    assert api.gc(maker.paths, keep=0) == []  # the champion and its predecessor stay
    sound(maker)


def test_a_new_version_is_compared_with_the_earlier_champion(maker):
    maker.vote(maker.train(1))
    maker.blend()
    result = stage.run(maker.paths, maker.with_gate())
    assert (result["version"], result["verdict"]) == (3, "promoted")
    assert "of champion 2" in result["reasons"][0]
    assert api.rollback(maker.paths, "the earlier one was better") == 2
    sound(maker)
