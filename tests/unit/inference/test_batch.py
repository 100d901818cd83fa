"""Batches: one row a window, bad files aside, a killed run continues, bytes stay the same."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data.clinical_edf import write_edf
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.inference.batch import (
    read_inbox_scores,
    score_inbox,
    score_inputs,
    write_submission,
)
from hms_pipeline.inference.inputs import find_items
from hms_pipeline.schema import SUBMISSION_COLUMNS, VOTE_COLUMNS, InputError

from ...scorer import Scorer, scoring
from ..data.test_clinical import noise

PROBS = list(VOTE_COLUMNS)


def competition(root: Path, n: int = 5) -> Path:
    """A test set of n windows, not in the order of their ids."""
    rng = np.random.default_rng(0)
    (root / "test_eegs").mkdir(parents=True)
    (root / "test_spectrograms").mkdir()
    rows = []
    for k in rng.permutation(n):
        rows.append((700 + k, 100 + k, 9))
        eeg = noise(seconds=50, seed=int(k)).astype(np.float32)
        (root / "test_eegs" / f"{100 + k}.parquet").write_bytes(eeg_to_parquet(eeg))
        power = rng.gamma(2, size=(4, 100, 300)).astype(np.float32)
        (root / "test_spectrograms" / f"{700 + k}.parquet").write_bytes(
            spectrogram_to_parquet(power)
        )
    table = pd.DataFrame(rows, columns=["spectrogram_id", "eeg_id", "patient_id"])
    table.to_csv(root / "test.csv", index=False)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return competition(tmp_path_factory.mktemp("data"))


def test_a_folder_in_both_formats(folder: Path, tmp_path: Path) -> None:
    summary = score_inputs(Scorer(), [folder], tmp_path / "scores.csv", scoring())
    table = pd.read_csv(summary.out)
    assert list(table.columns) == ["id", "start_s", *PROBS, "members_used", "warnings"]
    np.testing.assert_allclose(table[PROBS].sum(axis=1), 1, atol=1e-6)
    assert set(table["members_used"]) == {"eegnet;v2s-spec"}
    score_inputs(Scorer(), [folder], tmp_path / "scores.parquet", scoring())
    other = pd.read_parquet(tmp_path / "scores.parquet")
    np.testing.assert_allclose(other[PROBS], table[PROBS], atol=1e-8)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores.csv", "scores.parquet"]


def test_a_parquet_finds_its_spectrogram_by_the_layout(folder: Path, tmp_path: Path) -> None:
    files = sorted((folder / "test_eegs").iterdir())
    score_inputs(Scorer(), files, tmp_path / "files.csv", scoring())
    score_inputs(Scorer(), [folder], tmp_path / "folder.csv", scoring())
    assert (tmp_path / "files.csv").read_bytes() == (tmp_path / "folder.csv").read_bytes()


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_killed_run_continues(folder: Path, tmp_path: Path, stop_after: int) -> None:
    params = scoring(chunk_windows=2, batch_windows=2)
    with pytest.raises(KeyboardInterrupt):
        score_inputs(Scorer(stop_after=stop_after), [folder], tmp_path / "a.csv", params)
    assert not (tmp_path / "a.csv").exists()
    second = Scorer()
    summary = score_inputs(second, [folder], tmp_path / "a.csv", params)
    assert summary.n_resumed == 2 * stop_after
    assert sum(second.batches) == 5 - 2 * stop_after
    score_inputs(Scorer(), [folder], tmp_path / "b.csv", params)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_another_model_starts_anew(folder: Path, tmp_path: Path) -> None:
    params = scoring(chunk_windows=2)
    with pytest.raises(KeyboardInterrupt):
        score_inputs(Scorer(stop_after=1), [folder], tmp_path / "a.csv", params)
    other = Scorer(content_hash="1" * 64)
    assert score_inputs(other, [folder], tmp_path / "a.csv", params).n_resumed == 0


def test_bad_files_are_set_aside_with_their_reasons(folder: Path, tmp_path: Path) -> None:
    good = folder / "test_eegs" / "100.parquet"
    (tmp_path / "cut.parquet").write_bytes(good.read_bytes()[:5000])
    short = noise(seconds=10).astype(np.float32)
    (tmp_path / "short.parquet").write_bytes(eeg_to_parquet(short))
    flat = np.zeros((20, 10_000), np.float32)
    (tmp_path / "flat.parquet").write_bytes(eeg_to_parquet(flat))
    (tmp_path / "Wintergreen.edf").write_bytes(b"0")
    inputs = [good, *sorted(p for p in tmp_path.iterdir())]
    summary = score_inputs(Scorer(), inputs, tmp_path / "scores.csv", scoring())
    assert (summary.n_scored, summary.n_failed) == (1, 4)
    errors = (tmp_path / "scores.errors.csv").read_text()
    for reason in ("cut.parquet", "10000 rows", "needs a signal", "could not be read"):
        assert reason.replace("cut.parquet", "cut") in errors
    assert "Wintergreen" not in errors
    assert str(tmp_path) not in errors


def test_only_bad_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="Nothing could be scored"):
        score_inputs(Scorer(), [tmp_path], tmp_path / "scores.csv", scoring())


def test_recordings_give_a_row_a_window(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=75))
    summary = score_inputs(Scorer(), [tmp_path / "rec.edf"], tmp_path / "scores.csv", scoring())
    table = pd.read_csv(summary.out)
    assert list(table["start_s"]) == [0, 10, 20]
    assert table["id"].str.startswith("recording-").all()


def test_ids_stay_unique(folder: Path, tmp_path: Path) -> None:
    one = folder / "test_eegs" / "100.parquet"
    (tmp_path / "100.parquet").write_bytes(one.read_bytes())
    items = find_items([one, tmp_path / "100.parquet"])
    assert [item.id for item in items] == ["100", "100.2"]


@pytest.mark.parametrize("wrong", ["absent", "empty"])
def test_inputs_that_are_none(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        find_items([tmp_path / wrong])


def test_a_lost_spectrogram_costs_its_members_only(tmp_path: Path) -> None:
    root = competition(tmp_path / "data", 3)
    (root / "test_spectrograms" / "701.parquet").unlink()
    summary = score_inputs(Scorer(), [root], tmp_path / "scores.csv", scoring())
    used = pd.read_csv(summary.out).set_index("id")["members_used"]
    assert used[101] == "eegnet"
    assert used[100] == "eegnet;v2s-spec"


def test_submission_bytes_are_stable_and_in_order(folder: Path, tmp_path: Path) -> None:
    files = [
        write_submission(Scorer(), folder, tmp_path / f"{n}.csv", scoring(batch_windows=n))
        for n in (1, 4)
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    table = pd.read_csv(files[0])
    assert tuple(table.columns) == SUBMISSION_COLUMNS
    assert list(table["eeg_id"]) == list(pd.read_csv(folder / "test.csv")["eeg_id"])


def test_a_submission_needs_every_row(tmp_path: Path) -> None:
    root = competition(tmp_path / "data", 2)
    (root / "test_eegs" / "100.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="1 cannot be scored"):
        write_submission(Scorer(), root, tmp_path / "submission.csv", scoring())


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
