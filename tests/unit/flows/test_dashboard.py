"""Artifacts that people look at: the dashboard, the verdict, the Data Docs."""

from __future__ import annotations

import base64
import os
import re
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.image import imread

from flows import artifacts, dashboard
from hms_pipeline.config import Paths
from tests.recipes import write

VERSIONS = [
    {"version": n, "aliases": aliases, "recipe": "tiny", "kl": kl, "interval": interval,
     "verdict": "promoted", "reasons": []}
    for n, aliases, kl, interval in (
        (3, ["challenger"], 0.5, (0.4, 0.6)), (2, ["champion"], 0.6, None), (1, [], None, None)
    )
]  # fmt: skip


@pytest.fixture
def shown(monkeypatch) -> dict[str, str]:
    """Markdown of the artifacts by their keys."""
    found: dict[str, str] = {}
    for module in (artifacts, dashboard):
        monkeypatch.setattr(
            module,
            "create_markdown_artifact",
            lambda markdown, key, **about: found.update({key: markdown}),
        )
    return found


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "data", tmp_path / "artifacts", tmp_path / "params.yaml")
    write(paths.params)
    return paths


def pictures(markdown: str) -> list[bytes]:
    return [
        base64.b64decode(found)
        for found in re.findall(r"!\[[^]]+\]\(data:image/png;base64,([^)]+)\)", markdown)
    ]


def test_it_draws_every_retrain_and_every_day(monkeypatch, shown, paths):
    monkeypatch.setattr("hms_pipeline.registry.api.list_versions", lambda _: VERSIONS)
    curves = {f"quantity {k}": {20_000: 0.1, 20_001: k / 10} for k in range(9)}
    monkeypatch.setattr("hms_pipeline.tracking.drift.read_drift", lambda _: curves)
    dashboard.show_dashboard(paths)
    drawn = pictures(shown["dashboard"])
    assert [imread(BytesIO(picture)).ndim for picture in drawn] == [3, 3]
    assert shown["dashboard"].count("\n| 3 |") == 1


def test_one_part_that_fails_leaves_the_other(monkeypatch, shown, paths, caplog):
    monkeypatch.setattr("hms_pipeline.registry.api.list_versions", lambda _: VERSIONS)
    monkeypatch.setattr("hms_pipeline.tracking.drift.read_drift", lambda _: 1 / 0)
    dashboard.show_dashboard(paths)
    assert len(pictures(shown["dashboard"])) == 1
    assert "without its drift" in caplog.text


def test_without_a_version_or_a_check_there_is_none(shown, paths):
    dashboard.show_dashboard(paths)
    assert shown == {}


def test_a_verdict_is_told_in_words():
    student = {"model": "s", "version": 4, "verdict": "refused", "reasons": ["No gain."]}
    told = artifacts.verdict(
        {"model": "e", "version": None, "verdict": "nothing", "reasons": [], "champion": 2,
         "student": student}
    )  # fmt: skip
    assert "## e: nothing" in told
    assert "## s version 4: refused\n- No gain." in told
    assert "{" not in told
    assert "None" not in told


def test_every_page_of_the_data_docs_opens_by_http(monkeypatch, shown, paths):
    paths.data_docs.mkdir(parents=True)
    for name in ("windows", "index"):
        text = '<a href="windows.html">windows</a> <a href="#rule">rule</a> document.lastModified'
        page = paths.data_docs / f"{name}.html"
        page.write_text(text, encoding="utf-8")
        os.utime(page, (1.7e9, 1.7e9))
    kept: dict[str, str] = {}
    client = SimpleNamespace(
        log_artifact=lambda run, file, inside: kept.update(
            {Path(file).name: Path(file).read_text(encoding="utf-8")}
        )
    )
    monkeypatch.setattr("hms_pipeline.tracking.store.open_to_write", lambda _: client)
    monkeypatch.setattr(artifacts, "_mlflow_page", lambda _, run, file: f"http://m/{run}/{file}")
    monkeypatch.setenv("HMS_MLFLOW_URL", "http://m")
    artifacts.show_docs(paths, "ab")
    links = re.findall(r"\[(.*?)\]\((.*?)\)", shown["data-docs"])
    assert links == [
        ("overview", "http://m/ab/data_docs/index.html"),
        ("windows", "http://m/ab/data_docs/windows.html"),
    ]
    assert set(kept) == {"index.html", "windows.html"}
    assert set(kept.values()) == {'windows <a href="#rule">rule</a> "2023-11-14 22:13 UTC"'}
