"""The inbox: each recording once, failures that may pass again, and whose scores drift reads."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pandas as pd
import pytest
import yaml

from flows import drift as drift_flow
from flows import score as score_flow
from hms_pipeline.config import Paths
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.reading import Reader, ReadingProcess
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.scoring import inbox as inboxes
from hms_pipeline.scoring.inbox import read_inbox_scores
from hms_pipeline.system.worker import Worker
from tests.recipes import write

from ...recordings import noise, raw_array, write_brainvision, write_edf
from ...scorer import ROOT, Scorer, scoring
from .test_batch import closed, competition

NOW = scoring(settle_s=0)
score_inbox = partial(inboxes.score_inbox, reader=Reader())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return competition(tmp_path_factory.mktemp("data"))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def test_an_inbox_file_is_scored_once(folder: Path, tmp_path: Path) -> None:
    inbox, out, params = tmp_path / "inbox", tmp_path / "out", scoring(settle_s=0)
    inbox.mkdir()
    one = (folder / "test_eegs" / "100.parquet").read_bytes()
    (inbox / "a.parquet").write_bytes(one)
    (inbox / "bad.parquet").write_bytes(b"no")
    first = score_inbox(Scorer(), inbox, out, params)
    assert (first.n_scored, first.n_failed) == (1, 1)
    (inbox / "copy.parquet").write_bytes(one)
    (inbox / "b.parquet").write_bytes((folder / "test_eegs" / "101.parquet").read_bytes())
    second = score_inbox(Scorer(), inbox, out, params)
    assert (second.n_scored, second.n_failed) == (1, 0)
    assert len(read_inbox_scores(out)) == 2
    assert score_inbox(Scorer(), inbox, out, params).n_scored == 0


def test_an_inbox_waits_for_files_being_written(folder: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    target = inbox / "a.parquet"
    target.write_bytes((folder / "test_eegs" / "100.parquet").read_bytes())
    assert score_inbox(Scorer(), inbox, tmp_path / "out", scoring(settle_s=60)).n_scored == 0
    os.utime(target, (0, 0))
    assert score_inbox(Scorer(), inbox, tmp_path / "out", scoring(settle_s=60)).n_scored == 1


def test_an_inbox_keeps_what_was_observed(folder: Path, tmp_path: Path) -> None:
    def observe(windows):
        return pd.DataFrame({"view:eeg:sd": [float(w.eeg.std()) for w in windows]})

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.parquet").write_bytes((folder / "test_eegs" / "100.parquet").read_bytes())
    score_inbox(Scorer(), inbox, tmp_path / "out", scoring(settle_s=0), observe=observe)
    assert read_inbox_scores(tmp_path / "out")["view:eeg:sd"].iloc[0] > 0


def test_without_an_extra_nothing_is_done(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_array(noise(seconds=60)).save(inbox / "Wintergreen_raw.fif", verbose="error")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "mne", None)
        first = score_inbox(Scorer(), inbox, tmp_path / "out", NOW)
    assert "needs MNE" in first.failed[0][1]
    assert "Wintergreen" not in str(first.failed)
    assert score_inbox(Scorer(), inbox, tmp_path / "out", NOW).n_scored == 2


@pytest.mark.parametrize("ending", ["fif", "parquet"])
def test_a_disk_that_does_not_answer_is_asked_again(
    folder: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = inbox / f"Wintergreen_raw.{ending}"
    if ending == "fif":
        raw_array(noise(seconds=50)).save(path, verbose="error")
    else:
        shutil.copyfile(folder / "test_eegs" / "100.parquet", path)

    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "no answer", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(mne.io, "read_raw", fails)
        broken.setattr("hms_pipeline.data.recording.CheckedFile", fails)
        first = score_inbox(Scorer(), inbox, tmp_path / "out", NOW)
    assert (first.n_scored, first.n_failed) == (0, 1)
    assert score_inbox(Scorer(), inbox, tmp_path / "out", NOW).n_scored == 1


def test_a_file_that_cannot_be_opened_stops_no_other(
    folder: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "Wintergreen.edf").write_bytes(b"0")
    shutil.copyfile(folder / "test_eegs" / "100.parquet", inbox / "a.parquet")
    opened = Path.open

    def refuse(path: Path, *arguments, **options):
        if path.name == "Wintergreen.edf":
            raise PermissionError(13, "no", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    summary = score_inbox(Scorer(), inbox, tmp_path / "out", NOW)
    assert (summary.n_scored, summary.n_failed) == (1, 1)
    assert "Wintergreen" not in str(summary.failed)


def test_a_folder_below_that_cannot_be_read_is_told_and_stops_no_other(
    folder: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("ward 1", "ward 2", ".trash"):
        (inbox / place).mkdir()
        shutil.copyfile(folder / "test_eegs" / "100.parquet", inbox / place / "a.parquet")
    monkeypatch.setattr(os, "scandir", closed("ward 1"))
    first = score_inbox(Scorer(), inbox, tmp_path / "out", NOW)
    assert (first.n_scored, first.n_failed) == (1, 1)
    assert "PermissionError" in first.failed[0][1]
    assert "ward 1" not in str(first.failed)
    monkeypatch.undo()
    assert score_inbox(Scorer(), inbox, tmp_path / "out", NOW).n_failed == 0


def test_a_damaged_file_is_done_with_its_reason(inbox: Path, tmp_path: Path) -> None:
    path = inbox / "Wintergreen_raw.fif"
    raw_array(noise(seconds=400)).save(path, verbose="error")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    first = score_inbox(Scorer(), inbox, tmp_path / "out", NOW)
    assert first.n_failed == 1
    assert "Wintergreen" not in str(first.failed)
    assert score_inbox(Scorer(), inbox, tmp_path / "out", NOW).n_failed == 0


def test_two_patients_with_one_header_are_both_scored(inbox: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_brainvision(inbox / f"p{seed}", noise(seconds=50, seed=seed))
    summary = score_inbox(Scorer(), inbox, tmp_path / "out", NOW)
    assert (summary.n_scored, summary.n_failed) == (2, 0)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_samples_still_being_written_wait_with_their_header(inbox: Path, tmp_path: Path) -> None:
    path, params = write_brainvision(inbox / "p", noise(seconds=50)), scoring(settle_s=60)
    for file in path.parent.iterdir():
        os.utime(file, (0, 0))
    os.utime(path.with_suffix(".eeg"))
    assert score_inbox(Scorer(), inbox, tmp_path / "out", params).n_scored == 0
    os.utime(path.with_suffix(".eeg"), (0, 0))
    assert score_inbox(Scorer(), inbox, tmp_path / "out", params).n_scored == 1


def test_a_folder_is_scored_once(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "rec.mff").mkdir()
    (inbox / "rec.mff" / "signal1.bin").write_bytes(b"samples")
    raw = raw_array(noise(seconds=50))
    monkeypatch.setattr(mne.io, "read_raw", lambda *_, **__: raw)
    assert score_inbox(Scorer(), inbox, tmp_path / "out", NOW).n_scored == 1
    assert score_inbox(Scorer(), inbox, tmp_path / "out", NOW).n_scored == 0


def test_an_inbox_gets_past_pipes_devices_and_crashes(
    folder: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(folder / "test_eegs" / "100.parquet", inbox / "a.parquet")
    for k, name in enumerate(("crash.edf", "rec.edf", "raise.edf")):
        write_edf(inbox / name, noise(seconds=50, seed=k))
    os.mkfifo(inbox / "pipe.edf")
    (inbox / "zero.edf").symlink_to("/dev/zero")
    with ReadingProcess() as process:
        process._worker = Worker("tests.misbehaving", 2**30)
        first, second = (
            inboxes.score_inbox(Scorer(), inbox, tmp_path / "out", NOW, reader=process)
            for _ in range(2)
        )
        process._worker.close()
    assert (first.n_scored, first.n_failed) == (2, 4)
    # What the files themselves did is known; what has no content is met again.
    assert (second.n_scored, second.n_failed) == (0, 2)


def test_scores_are_read_by_their_model(folder: Path, inbox: Path, tmp_path: Path) -> None:
    for name, content_hash in (("100", "a" * 64), ("101", "b" * 64)):
        shutil.copyfile(folder / "test_eegs" / f"{name}.parquet", inbox / f"{name}.parquet")
        score_inbox(Scorer(content_hash=content_hash), inbox, tmp_path / "out", NOW)
    assert list(read_inbox_scores(tmp_path / "out", content_hash="b" * 64)["id"]) == ["101"]
    assert len(read_inbox_scores(tmp_path / "out")) == 2
    assert read_inbox_scores(tmp_path / "out", content_hash="c" * 64).empty


def table(path: Path, n: int, content_hash: str | None) -> None:
    votes = np.random.default_rng(0).dirichlet(np.ones(6), n)
    rows = pd.DataFrame(votes, columns=list(VOTE_COLUMNS)).assign(id=path.stem, error=None)
    path.parent.mkdir(exist_ok=True)
    (rows if content_hash is None else rows.assign(content_hash=content_hash)).to_parquet(path)


def test_drift_compares_what_the_champion_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = tmp_path / "scores"
    table(scores / "before.parquet", 300, None)
    table(scores / "predecessor.parquet", 300, "a" * 64)
    known = {"edges": [0.5], "shares": [0.9, 0.1], "median": 0.1, "n": 100}
    (tmp_path / "drift_reference.json").write_text(json.dumps({"prediction:seizure_vote": known}))
    (tmp_path / "bundle.json").write_text(json.dumps({"content_hash": "b" * 64}))
    monkeypatch.setattr("hms_pipeline.registry.api.bundle_of", lambda paths: (2, tmp_path))
    paths = Paths(tmp_path, tmp_path, write(tmp_path / "params.yaml"))
    nothing = drift_flow.compare_scores(paths, scores, 1)
    assert (nothing.n_windows, nothing.verdict) == (0, "too few")
    assert "too few" in nothing.sentence
    table(scores / "champion.parquet", 200, "b" * 64)
    assert drift_flow.compare_scores(paths, scores, 1).n_windows == 200
    os.utime(scores / "champion.parquet", (0, 0))
    assert drift_flow.compare_scores(paths, scores, 1).n_windows == 0
    assert drift_flow.compare_scores(paths, scores, None).n_windows == 200


def test_the_daily_comparison_is_of_one_day() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (daily,) = [found for found in deployments if found["entrypoint"] == "flows.drift.drift"]
    assert daily["parameters"] == {"days": 1}


def test_the_inbox_is_scored_as_the_recipe_says_and_without_one_as_the_champions(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_edf(inbox / "rec.edf", noise(seconds=90))
    scorer = Scorer()
    scorer.bundle = SimpleNamespace(params=SimpleNamespace(scoring=scoring(hop_s=20, settle_s=0)))
    scorer.views = {}
    monkeypatch.setattr("hms_pipeline.registry.scoring.open_predictor", lambda _: (1, scorer))
    monkeypatch.setattr(score_flow, "get_run_logger", lambda: logging.getLogger("test"))
    recipe = tmp_path / "params.yaml"
    paths = Paths(tmp_path, tmp_path, recipe)
    score_flow.score_new(paths, inbox, tmp_path / "out")
    assert list(read_inbox_scores(tmp_path / "out")["start_s"]) == [0, 20, 40]
    tiny = write(recipe).read_text().replace("settle_s: 5.0", "settle_s: 0")
    recipe.write_text(tiny.replace("hop_s: 10", "hop_s: 40"))
    score_flow.score_new(paths, inbox, tmp_path / "other")
    assert list(read_inbox_scores(tmp_path / "other")["start_s"]) == [0, 40]


def test_names_differ_over_folders_and_runs(folder: Path, inbox: Path, tmp_path: Path) -> None:
    out, contents = tmp_path / "out", [folder / "test_eegs" / f"{k}.parquet" for k in (100, 101)]
    for place, content in zip(("a", "b"), contents, strict=True):
        (inbox / place).mkdir()
        shutil.copy(content, inbox / place / "rec.parquet")
    score_inbox(Scorer(), inbox, out, NOW)
    assert set(read_inbox_scores(out)["id"]) == {"rec", "rec.2"}
    write_parquet_of(inbox / "a" / "rec.parquet", seed=5)
    score_inbox(Scorer(), inbox, out, NOW)
    assert set(read_inbox_scores(out)["id"]) == {"rec", "rec.2", "rec.3"}
    assert len(read_inbox_scores(out)) == 3


def write_parquet_of(path: Path, seed: int) -> None:
    path.write_bytes(eeg_to_parquet(noise(seconds=50, seed=seed).astype(np.float32)))
