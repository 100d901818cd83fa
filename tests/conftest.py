"""The tests' own environment, without what the caller's shell says to the tools under test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.team.network import lacking

FOREIGN = ("MLFLOW_", "PREFECT_", "DVC_", "GIT_", "HMS_")
KEPT = {
    "HMS_DECISIONS", "HMS_FLIPS", "HMS_KILLS", "HMS_SAMPLES", "HMS_TEAM", "HMS_TEST_STORE",
    "MLFLOW_DISABLE_TELEMETRY", "PREFECT_SERVER_ANALYTICS_ENABLED",
}  # fmt: skip
COLOURS = {"FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE"}
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}  # servers under test are on 127.0.0.1

for name in list(os.environ):
    foreign = name.startswith(FOREIGN) and name not in KEPT
    if foreign or name in COLOURS or name.lower() in PROXIES:
        del os.environ[name]

os.environ["DVC_NO_ANALYTICS"] = "1"
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
# Git's own exception for a checkout of another user's, as in a container; no file names it now.
os.environ |= {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# Examples are the same in every run, and a busy machine fails none by its clock.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how far apart the machines of tests/team were."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    if any(getattr(report, "nodeid", "").startswith("tests/team/") for report in reports):
        why = lacking()
        said = f"shared this one's network and folders: {why}" if why else "shared only addresses"
        terminalreporter.write_line(f"The machines of tests/team {said}.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that mostly wait first, then slow ones: short ones fill what is left at the end."""
    ranks = {
        item.path: rank
        for rank, mark in enumerate(("slow", "stack"), 1)
        for item in items
        if item.get_closest_marker(mark)
    }
    items.sort(key=lambda item: -ranks.get(item.path, 0))
