"""What only a team needs is no package of the core."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def names(lines: list[str]) -> set[str]:
    """Packages that requirements name, in one spelling."""
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def locked(name: str) -> set[str]:
    return names((ROOT / name).read_text(encoding="utf-8").splitlines())


def test_the_core_has_no_package_of_the_team() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = names(project["optional-dependencies"]["team"])
    team, servers = locked("requirements-team.lock"), locked("tests/team/requirements.lock")
    assert asked == {"psycopg", "boto3", "dvc-s3"}
    assert asked <= team
    assert not locked("requirements.lock") & (team | servers)
    assert not names(project["dependencies"]) & (team | servers)
