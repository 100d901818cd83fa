"""Batches: one row a window, bad files aside, a killed run continues, bytes stay the same."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.bombs import page_bomb
from hms_pipeline.data import window_readers as readers
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.reading import Reader
from hms_pipeline.data.window import Window
from hms_pipeline.schema import SUBMISSION_COLUMNS, VOTE_COLUMNS
from hms_pipeline.scoring import batch
from hms_pipeline.scoring.batch import write_submission
from hms_pipeline.scoring.inputs import WindowItem, find_items
from hms_pipeline.scoring.units import score_batches
from hms_pipeline.system.errors import InputError

from ...recordings import noise, raw_array, write_brainvision, write_edf
from ...scorer import Scorer, scoring

PROBS = list(VOTE_COLUMNS)
score_inputs = partial(batch.score_inputs, reader=Reader())


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
    assert set(table["members_used"]) == {"eegnet; v2s-spec"}
    score_inputs(Scorer(), [folder], tmp_path / "scores.parquet", scoring())
    other = pd.read_parquet(tmp_path / "scores.parquet")
    np.testing.assert_allclose(other[PROBS], table[PROBS], atol=1e-8)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores.csv", "scores.parquet"]


def test_clinical_files_are_found_in_folders_below(tmp_path: Path) -> None:
    for place in (".", "ward 1", "ward 2/bed 3", ".hidden"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        write_brainvision(tmp_path / place, noise(seconds=1))
    (tmp_path / "ward 1" / "table.parquet").touch()
    found = find_items([tmp_path], keep_names=True)
    assert [item.id for item in found] == ["rec", "rec.2", "rec.3"]
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(find_items([tmp_path])) == 3


def test_a_folder_below_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (".", "ward 1", ".trash"):
        (tmp_path / place).mkdir(exist_ok=True)
        write_brainvision(tmp_path / place, noise(seconds=1))
    monkeypatch.setattr(os, "scandir", closed(".trash"))  # nobody asked for what is hidden
    assert len(find_items([tmp_path])) == 2
    monkeypatch.setattr(os, "scandir", closed("ward 1"))
    with pytest.raises(InputError, match=r"folders that can be read, but .*ward 1 cannot"):
        find_items([tmp_path])


def closed(name: str) -> Callable[[Path], object]:
    """Lists folders but one, as where its permissions forbid it; they do not bind the superuser."""
    scandir = os.scandir

    def listed(place: Path) -> object:
        if Path(place).name == name:
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    return listed


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
    for reason in ("cut.parquet", "10000 rows", "needs a signal", "has 1 bytes"):
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


@pytest.mark.parametrize("keep_names", [True, False])
def test_names_of_rows_and_pages_differ(tmp_path: Path, keep_names: bool) -> None:
    """Stems that are equal, end in a number, differ in case only, or are a page's own."""
    eeg = noise(seconds=60).astype(np.float32)
    names = ["a/rec", "b/rec", "c/rec.2", "d/index", "e/Rec", "f/rec.3", "g/rec"]
    paths = [tmp_path / f"{name}.parquet" for name in names]
    paths += [tmp_path / "h/rec.edf", tmp_path / "i/rec.edf"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".edf":
            write_edf(path, eeg)  # of one content
        else:
            path.write_bytes(eeg_to_parquet(eeg))
    told: list[str] = []
    summary = score_inputs(
        Scorer(), paths, tmp_path / "scores.csv", scoring(), keep_names=keep_names,
        on_recording=lambda scores: told.append(scores.id),
    )  # fmt: skip
    ids = list(dict.fromkeys(pd.read_csv(summary.out)["id"]))
    assert ids == told
    assert len({name.casefold() for name in ids}) == len(paths)
    assert "index" not in ids


def test_one_recording_under_many_roofs(tmp_path: Path) -> None:
    """Hostile files of every kind between two good ones, read in a process of their own."""
    good = noise(seconds=60)
    for name in ("a_good.edf", "z_good.edf"):
        write_edf(tmp_path / name, good)
    os.mkfifo(tmp_path / "b_pipe.edf")
    os.mkfifo(tmp_path / "b_pipe.parquet")
    (tmp_path / "c_device.edf").symlink_to("/dev/zero")
    (tmp_path / "d_loop.edf").symlink_to(tmp_path / "d_loop.edf")
    (tmp_path / "e_folder.edf").mkdir()
    (tmp_path / "f.set").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    (tmp_path / "g_raw.fif").write_bytes(bytes(1000))
    (tmp_path / "h.vhdr").write_bytes(b"\xff" * 1000)
    (tmp_path / "i.eeg").write_bytes(b"0")
    found = batch.score_inputs(Scorer(), [tmp_path], tmp_path / "out" / "scores.csv", scoring())
    assert (found.n_scored, found.n_failed) == (4, 9)
    for name, said in found.failed:
        assert said.endswith((".", ")")), (name, said)
        assert str(tmp_path) not in said


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
    assert used[100] == "eegnet; v2s-spec"


def test_submission_bytes_are_stable_and_in_order(folder: Path, tmp_path: Path) -> None:
    files = [
        write_submission(Scorer(), folder, tmp_path / f"{n}.csv", scoring(batch_windows=n)).out
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


def test_a_failure_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw_array(noise(seconds=60)).save(tmp_path / "rec_raw.fif", verbose="error")
    inputs, out = [tmp_path / "rec_raw.fif"], tmp_path / "scores.csv"
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "mne", None)
        with pytest.raises(InputError, match="needs MNE"):
            score_inputs(Scorer(), inputs, out, scoring())
    assert not (tmp_path / ".scores.csv.parts").exists()
    assert score_inputs(Scorer(), inputs, out, scoring()).n_scored == 2


class Moody(Scorer):
    """Refuses its first window."""

    def predict(self, windows, *, batch_size=None):
        if not self.batches:
            self.batches.append(0)
            raise InputError("Row 0: a passing fault. Try again.")
        return super().predict(windows)


def test_a_killed_run_resumes_what_it_scored_and_not_what_failed(tmp_path: Path) -> None:
    root = competition(tmp_path / "data")
    one, params = scoring(chunk_windows=4, batch_windows=1), scoring(chunk_windows=4)

    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_inputs(Moody(), [root], tmp_path / "a.csv", one, progress=kill)
    second = Scorer()
    summary = score_inputs(second, [root], tmp_path / "a.csv", params)
    assert (summary.n_resumed, summary.n_failed, sum(second.batches)) == (3, 0, 2)
    score_inputs(Scorer(), [root], tmp_path / "b.csv", params)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_equal_headers_with_other_samples_are_two_recordings(tmp_path: Path) -> None:
    paths = [
        write_brainvision(tmp_path / f"p{seed}", noise(seconds=60, seed=seed)) for seed in (1, 2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    folders = [path.parent for path in paths]
    summary = score_inputs(Scorer(), folders, tmp_path / "scores.csv", scoring())
    table = pd.read_csv(summary.out)
    assert summary.n_failed == 0
    assert table["id"].nunique() == 2
    first, second = (part[PROBS].to_numpy() for _, part in table.groupby("id", sort=False))
    assert np.abs(first - second).max() > 0


def test_a_bad_folder_is_set_aside(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "Wintergreen.mff").mkdir()
    (tmp_path / "Wintergreen.mff" / "signal1.bin").write_bytes(b"0")
    inputs = [tmp_path / "Wintergreen.mff", folder / "test_eegs" / "100.parquet"]
    summary = score_inputs(Scorer(), inputs, tmp_path / "scores.csv", scoring())
    ((name, reason),) = summary.failed
    assert name.startswith("recording-")
    assert "Wintergreen" not in reason


def test_a_file_cut_short_is_set_aside_without_its_name(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "Wintergreen_raw.fif"
    raw_array(noise(seconds=400)).save(path, verbose="error")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    inputs = [path, folder / "test_eegs" / "100.parquet"]
    summary = score_inputs(Scorer(), inputs, tmp_path / "scores.csv", scoring())
    ((name, reason),) = summary.failed
    assert summary.n_scored == 1
    assert f"{name} could not be read (ValueError)" in reason
    assert "Wintergreen" not in reason
    assert str(tmp_path) not in reason


@pytest.mark.parametrize("run", [score_inputs, write_submission])
def test_a_folder_is_no_place_for_a_table(folder: Path, tmp_path: Path, run) -> None:
    scorer, out = Scorer(), tmp_path / "out.csv"
    out.mkdir()
    with pytest.raises(InputError, match=r"needs a file, but .*out\.csv is a folder"):
        run(scorer, [folder] if run is score_inputs else folder, out, scoring())
    assert not scorer.batches


@pytest.mark.parametrize("run", [score_inputs, write_submission])
def test_an_empty_test_table_is_refused(tmp_path: Path, run) -> None:
    (tmp_path / "test.csv").write_text("spectrogram_id,eeg_id,patient_id\n")
    inputs = [tmp_path] if run is score_inputs else tmp_path
    with pytest.raises(InputError, match=r"test\.csv needs a row for every window"):
        run(Scorer(), inputs, tmp_path / "out.csv", scoring())


def test_a_submission_says_what_it_did_without(tmp_path: Path) -> None:
    root = competition(tmp_path / "data", 4)
    (root / "test_spectrograms" / "701.parquet").unlink()
    (root / "test_spectrograms" / "702.parquet").write_bytes(b"PAR1")
    written = write_submission(Scorer(), root, tmp_path / "submission.csv", scoring())
    assert (written.n_scored, written.warnings) == (4, {"no spectrogram": 2})


def test_a_submission_refuses_a_repeated_eeg(tmp_path: Path) -> None:
    root, scorer = competition(tmp_path / "data", 2), Scorer()
    lines = (root / "test.csv").read_text().splitlines()
    (root / "test.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    repeated = lines[1].split(",")[1]
    with pytest.raises(InputError, match=f"each eeg_id once, but has {repeated} more than once"):
        write_submission(scorer, root, tmp_path / "submission.csv", scoring())
    assert not scorer.batches


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "cores", lambda: 3)
    monkeypatch.setattr(readers, "WINDOWS_A_PROCESS", 1)


def hostile(root: Path) -> Path:
    """A test set of twelve windows, of which five can be scored."""
    competition(root, 12)
    eegs, spectrograms = root / "test_eegs", root / "test_spectrograms"
    spoiled = bytearray((eegs / "100.parquet").read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    (eegs / "100.parquet").write_bytes(spoiled)
    (eegs / "101.parquet").write_bytes((eegs / "101.parquet").read_bytes()[:5000])
    (eegs / "102.parquet").unlink()
    (eegs / "103.parquet").write_bytes(page_bomb(400_000, "zstd"))
    shutil.copy(spectrograms / "700.parquet", eegs / "104.parquet")
    (eegs / "105.parquet").write_bytes(eeg_to_parquet(np.zeros((20, 10_000))))
    (eegs / "106.parquet").unlink()
    os.mkfifo(eegs / "106.parquet")
    (spectrograms / "707.parquet").write_bytes(b"PAR1")
    return root


def test_processes_read_what_a_thread_reads(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    items = find_items([hostile(tmp_path / "data")])
    by_thread = pd.concat(score_batches(Scorer(), items, 5))
    request.getfixturevalue("two_processes")
    with readers.window_readers(len(items)) as pool:
        assert isinstance(pool, ProcessPoolExecutor)
        by_processes = pd.concat(score_batches(Scorer(), items, 5, pool))
        assert not pool.submit(eval, "'torch' in __import__('sys').modules").result()
    pd.testing.assert_frame_equal(by_processes, by_thread)
    failed = by_thread[by_thread["error"].notna()]
    assert list(failed["id"]) == [str(100 + k) for k in range(7)]
    assert list(failed["id"][failed["transient"]]) == ["102"]
    assert list(by_thread["members_used"][7:9]) == ["eegnet", "eegnet; v2s-spec"]


def test_a_gpu_answers_one_batch_while_the_next_is_checked(tmp_path: Path) -> None:
    """The same table as one batch after the other; two meet in the scorer, and never three."""
    items = find_items([competition(tmp_path, 8)])
    meet, inside, most = threading.Barrier(2), [], []

    class Meeting(Scorer):
        def predict(self, windows: Sequence[Window], *, batch_size: int | None = None):
            inside.append(1)
            most.append(len(inside))
            meet.wait(timeout=60)
            found = super().predict(windows)
            inside.pop()
            return found

    in_turn = pd.concat(score_batches(Scorer(), items, 2))
    at_once = pd.concat(score_batches(Meeting(device=torch.device("cuda")), items, 2))
    pd.testing.assert_frame_equal(at_once, in_turn)
    assert max(most) == 2


@pytest.mark.usefixtures("two_processes")
def test_neighbours_in_a_recording_are_read_as_by_a_thread(tmp_path: Path) -> None:
    """Rows of one EEG in train.csv differ by their offsets alone."""
    root = competition(tmp_path / "data", 2)
    eeg = noise(seconds=70).astype(np.float32)
    (root / "train_eegs").mkdir()
    (root / "train_eegs" / "5.parquet").write_bytes(eeg_to_parquet(eeg))
    (root / "test_spectrograms").rename(root / "train_spectrograms")
    reader = readers.TableReader(root, "train")
    rows = [
        {"eeg_id": 5, "spectrogram_id": 700, "eeg_label_offset_seconds": offset,
         "spectrogram_label_offset_seconds": offset} for offset in (0, 2, 10, 20, 30)
    ]  # fmt: skip
    with readers.window_readers(len(rows)) as pool:
        found = list(readers.read_all(pool, [partial(reader.read_usable, row) for row in rows]))
    for row, window in zip(rows, found, strict=True):
        expected = reader.read(row)
        np.testing.assert_array_equal(window.eeg, expected.eeg)
        np.testing.assert_array_equal(window.spectrogram, expected.spectrogram)


@pytest.mark.usefixtures("two_processes")
def test_an_interrupted_run_leaves_no_process(folder: Path, tmp_path: Path) -> None:
    params, stopping = scoring(batch_windows=2), Scorer(stop_after=1)
    others = set(multiprocessing.active_children())  # of tests before
    with pytest.raises(KeyboardInterrupt):
        write_submission(stopping, folder, tmp_path / "a.csv", params, processes=True)
    assert set(multiprocessing.active_children()) <= others
    assert not list(tmp_path.iterdir())


class Killing(Scorer):
    """Kills the processes that read, after its first batch."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.others = set(multiprocessing.active_children())

    def predict(self, windows, *, batch_size=None):
        for child in set(multiprocessing.active_children()) - self.others:
            child.kill()
            child.join()
        return super().predict(windows)


@pytest.mark.usefixtures("two_processes")
def test_a_killed_reader_is_one_line_and_the_next_run_continues(
    folder: Path, tmp_path: Path
) -> None:
    params, out = scoring(chunk_windows=2, batch_windows=1), tmp_path / "a.csv"
    score = partial(score_inputs, inputs=[folder], out=out, params=params, processes=True)
    said = "^Reading needs its 2 worker processes, but one of them died, .*run the command again"
    killing = Killing(stop_after=9)
    with pytest.raises(InputError, match=said):
        score(killing)
    assert not out.exists()
    assert set(multiprocessing.active_children()) <= killing.others
    assert score(Scorer()).n_scored == 5
    score_inputs(Scorer(), [folder], tmp_path / "b.csv", params)
    assert out.read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize(
    ("cores", "free", "n_windows", "workers"),
    [(2, 64, 999, 1), (16, 64, 999, 8), (4, 64, 999, 3), (16, 1, 999, 1), (16, 2, 999, 3),
     (16, 64, 127, 1), (16, 64, 192, 3), (16, 64, 0, 1)],
)  # fmt: skip
def test_readers_are_as_many_as_cores_memory_and_windows_allow(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int, n_windows: int, workers: int
) -> None:
    monkeypatch.setattr(readers, "cores", lambda: cores)
    monkeypatch.setattr(readers, "free_memory", lambda: free * 10**9)
    with readers.window_readers(n_windows) as pool:
        assert isinstance(pool, ProcessPoolExecutor) == (workers > 1)
        assert pool._max_workers == workers  # none is started before the first window


def test_one_batch_is_read_ahead_while_another_is_scored(folder: Path) -> None:
    read: list[str] = []

    def noted(item: WindowItem) -> WindowItem:
        def load() -> Window:
            read.append(item.id)
            return item.load()

        return replace(item, load=load)

    class Waiting(Scorer):
        def predict(self, windows: Sequence[Window], **options: int):
            most = min(sum(self.batches) + len(windows) + 2, len(items))
            end = time.monotonic() + 20
            while len(read) < most and time.monotonic() < end:
                time.sleep(0.001)
            assert len(read) == most
            return super().predict(windows, **options)

    items = [noted(item) for item in find_items([folder])]
    tables = list(score_batches(Waiting(), items, 2))
    assert [list(table["id"]) for table in tables] == [read[:2], read[2:4], read[4:]]
    assert read == [item.id for item in items]
