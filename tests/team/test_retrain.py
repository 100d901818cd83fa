"""A retrain by git, DVC's remote and a worker of its own, from raw data to a champion and back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import Machine, Team, cloned, git
from .test_machines import ask, champion, served

pytestmark = [
    pytest.mark.team,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("HMS_TEAM") != "whole", reason="minutes: HMS_TEAM=whole"),
    pytest.mark.timeout(3600),
]


def nightly(machine: Machine) -> dict:
    """Run the deployment on the machine's worker; what was registered."""
    prefect = (sys.executable, "-m", "prefect")
    said = machine.run(*prefect, "deployment", "run", "retrain/nightly", "--watch")
    assert "finished successfully" in said, said
    return json.loads((machine.root / "artifacts" / "registration.json").read_text())


def test_a_night_without_shared_folders(team: Team, origin: str, tmp_path: Path) -> None:
    keys = team.backends.store_keys
    second = cloned(
        team, origin, tmp_path / "second", {**team.addresses, **keys, "HMS_BRANCH": "main"}
    )
    third = cloned(team, origin, tmp_path / "third", dict(team.addresses))
    second.run(sys.executable, "-m", "flows.stack", "worker")
    try:
        first = nightly(second)
        assert first["version"] == 1
        if first["verdict"] != "promoted":  # the tiny recipe may not beat the prior
            third.hms("promote", "1", "--reason", "the first")
        again = nightly(second)
        assert again["version"] == 1

        author = cloned(team, origin, tmp_path / "author-again", {})
        assert "dvc.lock of a retrain" in git(author, "log", "--oneline")
        recipe = author.root / "params.yaml"
        text = recipe.read_text().replace("max_interpolated: 3", "max_interpolated: 2")
        recipe.write_text(text)  # of the same networks another version
        git(author, "commit", "-q", "-a", "-m", "another limit")
        git(author, "push", "-q", "origin", "HEAD:main")
        changed = nightly(second)
        assert changed["version"] == 2
    finally:
        second.run(sys.executable, "-m", "flows.stack", "down")

    # A machine that was never there has the outputs, trains nothing and agrees.
    other = cloned(
        team, origin, tmp_path / "other", {**team.addresses, **keys, "HMS_BRANCH": "main"}
    )
    other.run(sys.executable, "-m", "flows.exchange")
    other.hms("keys")  # of the code, cached nowhere
    assert "Data and pipelines are up to date" in other.run(
        sys.executable, "-m", "dvc", "status", "train@eegnet", "ensemble"
    )

    if champion(third) != 2:
        third.hms("promote", "2", "--reason", "by hand")
    with served(second) as here, served(third) as there:
        np.testing.assert_allclose(ask(third, there), ask(second, here), atol=1e-6, rtol=0)
    third.hms("rollback", "--reason", "worse at night")
    assert champion(second) == champion(other) == 1
