"""A student learns from networks that never saw its fold, and is compared without a leak."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import Params, Paths
from hms_pipeline.config.paths import FINAL
from hms_pipeline.config.student import STUDENT
from hms_pipeline.data.recording import read_eeg
from hms_pipeline.inference.bundle import PresentBundle
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.student import stage
from hms_pipeline.student.compare import Comparison
from hms_pipeline.student.stage import _Work
from hms_pipeline.student.teacher import Teacher
from hms_pipeline.student.windows import overlapping
from hms_pipeline.system.errors import InputError
from hms_pipeline.training.finished import read_manifest
from hms_pipeline.training.fold_data import MemberData
from hms_pipeline.training.metrics import kl_per_window
from tests.recipes import recipe

from .conftest import with_student

Taught = tuple[Paths, Params]


@pytest.fixture(scope="module")
def work(taught: Taught) -> _Work:
    paths, params = taught
    return _Work(paths, params, Teacher.read(paths, params), "cpu", lambda done, total: None)


def test_overlapping_windows_are_those_that_only_that_rule_set_aside(copy_of: Paths) -> None:
    before = overlapping(copy_of)
    quarantine = pd.read_parquet(copy_of.quarantine)
    assert sorted(before["label_id"]) == sorted(quarantine["id"])
    twice = quarantine.head(1).assign(rule="near_duplicate")
    damaged = quarantine.head(1).assign(kind="eeg", rule="unreadable", id=before["eeg_id"].iloc[-1])
    pd.concat([quarantine, twice, damaged]).to_parquet(copy_of.quarantine, index=False)
    left = overlapping(copy_of)
    assert not set(twice["id"]) & set(left["label_id"])
    assert damaged["id"].iloc[0] not in set(left["eeg_id"])


def test_no_patient_of_the_fold_is_trained_on_or_heard_of(work: _Work, taught: Taught) -> None:
    _, params = taught
    data = work.trainer.data
    patients = data.windows["patient_id"].to_numpy()
    n_kept = data.n_kept
    assert n_kept < len(patients)  # there are overlapping ones
    for fold in range(params.split.n_folds):
        found = data.fold(fold)
        assert not set(patients[found.train]) & set(patients[found.held_out])
        assert found.held_out.max() < n_kept
        assert found.train.max() >= n_kept
        assert set(found.train) | set(found.held_out) <= set(range(len(patients)))


def test_each_fold_hears_its_own_networks_by_a_blend_fitted_without_it(work: _Work) -> None:
    teacher, data = work.teacher, work.trainer.data
    predictor = Predictor.open(teacher.bundle, device="cpu")
    more = work.more.head(3)
    windows = [_Reader(work.paths).read(row) for row in more.to_dict("records")]
    places = np.searchsorted(data.label_ids[data.n_kept :], more["label_id"]) + data.n_kept
    for fold in range(work.params.split.n_folds):
        alone = predictor.only([fold]).predict(windows).member_probs
        expected = teacher.blends[fold].predict(alone)
        soft = data.teach(fold)
        np.testing.assert_allclose(soft[places], expected, atol=1e-4)
        share = work.params.student.votes_share
        votes = MemberData.fold(data, fold).smooth_target
        mixed = share * votes + (1 - share) * soft
        np.testing.assert_allclose(data.fold(fold).smooth_target, mixed)
    whole = predictor.predict(windows).probs
    np.testing.assert_allclose(data.teach(FINAL)[places], whole, atol=1e-4)


def test_a_blend_is_blind_to_its_folds_votes(work: _Work, taught: Taught) -> None:
    paths, params = taught
    read, fold = Teacher.read(paths, params), 0
    votes = read.oof.votes.copy()
    rows = read.oof.folds == fold
    votes[rows] = np.roll(votes[rows], 1, axis=1)
    other = replace(read, oof=replace(read.oof, votes=votes))
    assert other.blends[fold].to_dict() == work.teacher.blends[fold].to_dict()


def test_outputs_are_whole_and_the_summary_is_the_two_losses(taught: Taught) -> None:
    paths, params = taught
    out = paths.student.ensemble
    summary = json.loads((out / "summary.json").read_text())
    oof = pd.read_parquet(out / "oof.parquet").set_index("label_id")
    kept = pd.read_parquet(paths.windows).set_index("label_id")
    assert sorted(oof.index) == sorted(kept.index)
    found = Comparison.read(paths, params)
    many = found.oof.n_votes >= 10
    student = kl_per_window(found.oof.target, found.probs)[many].mean()
    assert summary["kl"] == pytest.approx(student, abs=1e-6)
    assert summary["loss"] == pytest.approx(summary["kl"] - summary["teacher"], abs=1e-8)
    assert summary["loss_low"] <= summary["loss"] <= summary["loss_high"]
    final = pd.read_parquet(paths.student.fold(STUDENT, FINAL) / "oof.parquet")
    assert sorted(final["label_id"]) == sorted(kept.index)


def test_a_second_run_trains_nothing_and_gives_the_same_bytes(
    taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, params = taught
    out = paths.student.ensemble
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    monkeypatch.setattr("hms_pipeline.student.stage.Trainer", None)  # nothing may need it
    stage.run(paths, params, device="cpu")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_answers_of_a_killed_run_are_used(work: _Work, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = work.trainer.data.label_ids[: work.trainer.data.n_kept]
    args = (kept, work.more, "cpu", lambda done, total: None)
    first = work.teacher.answers(*args)
    monkeypatch.setattr("hms_pipeline.student.teacher._Pictures", None)
    np.testing.assert_array_equal(work.teacher.answers(*args), first)


def test_a_killed_run_reads_what_is_missing_and_processes_read_as_a_thread_does(
    taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, params = taught
    monkeypatch.setattr("hms_pipeline.student.teacher.CHUNK", 2)
    more, kept = overlapping(paths).head(5), pd.read_parquet(paths.windows)["label_id"].head(3)
    done: list[tuple[int, int]] = []
    teacher = Teacher.read(paths, params)
    args = (kept.to_numpy(), more, "cpu", lambda *step: done.append(step))
    first = teacher.answers(*args)
    assert done == [(k, 5) for k in range(1, 6)]
    (folder,) = {path.parent for path in paths.checkpoints.rglob("more-2.safetensors")}
    for name in ("kept-0", "more-1"):
        (folder / f"{name}.safetensors").unlink()
    (folder / "more-2.safetensors").write_bytes(b"half")
    monkeypatch.setattr("hms_pipeline.data.window_readers.cores", lambda: 3)
    monkeypatch.setattr("hms_pipeline.data.window_readers.WINDOWS_A_PROCESS", 1)
    done.clear()
    np.testing.assert_allclose(teacher.answers(*args), first, atol=1e-6)
    assert done == [(1, 5), (4, 5), (5, 5)]
    lost = more.assign(eeg_id=1)
    with pytest.raises(InputError, match=r"^1\.parquet is needed"):
        teacher.answers(kept.to_numpy(), lost, "cpu", lambda *step: None)


def test_the_teacher_reads_each_recording_once(
    work: _Work, taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, params = taught
    opened: list[int] = []

    def counted(path: Path) -> np.ndarray:
        opened.append(int(path.stem))
        return read_eeg(path)

    monkeypatch.setattr("hms_pipeline.data.window.read_eeg", counted)
    one = work.more.drop_duplicates("eeg_id").head(5)
    apart = pd.concat([one, one.assign(label_id=one["label_id"] + 1)])  # each twice, not together
    teacher = Teacher.read(paths, params)
    answers = teacher.answers(np.array([], int), apart, "cpu", lambda done, total: None)
    assert sorted(opened) == sorted(one["eeg_id"])
    np.testing.assert_allclose(answers[:, :, :5], answers[:, :, 5:], atol=1e-5)
    alone = teacher.answers(np.array([], int), one[3:4], "cpu", lambda done, total: None)
    np.testing.assert_allclose(answers[:, :, 3:4], alone, atol=1e-5)


def test_the_packaged_student_is_the_final_one(taught: Taught) -> None:
    paths, params = taught
    bundle = PresentBundle.of(paths.student, params.for_student())
    assert bundle.folds == (0,)
    assert bundle.weights(STUDENT, 0).parent == paths.student.fold(STUDENT, FINAL)
    rows = pd.read_parquet(paths.windows).head(3)
    windows = [_Reader(paths).read(row) for row in rows.to_dict("records")]
    probs = Predictor.open(bundle, device="cpu").predict(windows).probs
    final = pd.read_parquet(paths.student.fold(STUDENT, FINAL) / "oof.parquet")
    expected = final.set_index("label_id").loc[rows["label_id"]].to_numpy()
    np.testing.assert_allclose(probs, expected, atol=1e-4)


def test_a_student_of_another_ensemble_is_refused(copy_of: Paths, taught: Taught) -> None:
    _, params = taught
    folder = copy_of.fold("eegnet", 0)
    from hms_pipeline.training.finished import write_manifest

    write_manifest(folder, read_manifest(folder) | {"content_hash": "0" * 64})
    with pytest.raises(InputError, match="taught by the present ensemble.*hms student again"):
        Comparison.read(copy_of, params)


def test_views_with_a_spectrogram_are_refused(taught: Taught) -> None:
    paths, params = taught
    wrong = with_student(params, views=["spec_multi"])
    with pytest.raises(InputError, match="views of the EEG alone, but 'spec_multi' reads"):
        stage.run(paths, wrong)


def test_a_recipe_without_a_student_leaves_an_empty_summary(tmp_path) -> None:
    paths = Paths(artifacts=tmp_path)
    params = recipe("tiny").model_copy(update={"student": None})
    assert stage.run(paths, params) == {}
    assert json.loads((paths.student.ensemble / "summary.json").read_text()) == {}


class _Reader:
    def __init__(self, paths: Paths) -> None:
        from hms_pipeline.data.window import WindowReader

        self.read = WindowReader(paths.data).read
