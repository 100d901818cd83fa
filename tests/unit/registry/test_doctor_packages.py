"""Packages that differ from those that made the champion are said."""

from __future__ import annotations

import pytest

from hms_pipeline.registry import doctor
from hms_pipeline.system.files import write_json

pytestmark = pytest.mark.filterwarnings("ignore")


def test_other_packages_than_the_champions_are_said(shelf, monkeypatch):
    shelf.add("one")
    registry = shelf.registry
    origin = registry.folder(registry.get(1)) / "lineage.json"
    write_json(origin, {"packages": {"torch": "2.14.1", "numpy": "2.4.6"}})
    monkeypatch.setattr(doctor, "package_versions", lambda: {"torch": "2.11.0", "numpy": "2.4.6"})
    found = [finding.value for finding in doctor._made_by(registry, 1)]
    assert found == ["torch 2.11.0; the champion was made by 2.14.1"]
