"""Writing stores: whole, incremental, and the same bytes whatever happened before."""

import copy
import hashlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pandas as pd
import pytest
import torch

from hms_pipeline.config import Paths
from hms_pipeline.data.window import WindowReader
from hms_pipeline.features import plan, produce, stage, update, write
from hms_pipeline.features.compute import compute
from hms_pipeline.features.store import FeatureStore
from hms_pipeline.features.views import VIEWS, build_view
from hms_pipeline.features.windows import prepare
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.locks import locked

from ...forked import forked
from .conftest import window_rows, write_recording


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(plan, "ROWS_PER_SHARD", 4)
    monkeypatch.setattr(produce, "CHUNK", 3)


def contents(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.fixture
def computed(monkeypatch):
    """Label ids of the windows that were read since."""
    seen = []
    read = WindowReader.read

    def counted(self, row, **options):
        seen.append(row["label_id"])
        return read(self, row, **options)

    monkeypatch.setattr(WindowReader, "read", counted)
    return seen


@pytest.mark.parametrize("view", ["spec_multi", "bipolar"])
def test_the_store_holds_what_the_view_gives(paths, params, view):
    progress = []
    stage.run(paths, params, view, progress=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (16, 16)
    store = FeatureStore.open(paths.view(view))
    windows = pd.read_parquet(paths.windows).sample(frac=1, random_state=0)
    assert sorted(store.label_ids) == sorted(windows["label_id"])
    built = build_view(params, view)
    reader = WindowReader(paths.data)
    batch = prepare([reader.read(row) for row in windows.to_dict("records")])
    expected = compute({view: built}, batch)[view].numpy()
    assert np.array_equal(store[windows["label_id"]], expected)


def test_a_window_is_read_at_its_own_offset(paths, params):
    stage.run(paths, params, "bipolar")
    store = FeatureStore.open(paths.view("bipolar"))
    first, second = store[[0, 1]].astype(float)
    # two seconds later: the same waves, 100 samples earlier
    np.testing.assert_allclose(first[:, 600:1900], second[:, 500:1800], atol=0.05)


def test_a_second_run_computes_nothing_and_touches_no_shard(paths, params, computed):
    stage.run(paths, params, "bipolar")
    before, n = contents(paths.view("bipolar")), len(computed)
    inodes = {p.name: p.stat().st_ino for p in paths.view("bipolar").glob("shard-*")}
    stage.run(paths, params, "bipolar")
    assert contents(paths.view("bipolar")) == before
    assert {p.name: p.stat().st_ino for p in paths.view("bipolar").glob("shard-*")} == inodes
    assert len(computed) == n
    assert not (paths.checkpoints / "features" / "bipolar").exists()


def test_new_recordings_alone_are_computed(paths, params, computed, tmp_path):
    stage.run(paths, params, "bipolar")
    labels = window_rows(range(8))["label_id"]
    before = FeatureStore.open(paths.view("bipolar"))[labels].tobytes()
    computed.clear()
    for number in (8, 9):
        write_recording(paths.data, number)
    window_rows(range(10)).to_parquet(paths.windows, index=False)
    stage.run(paths, params, "bipolar")
    assert sorted(computed) == [80, 81, 90, 91]
    after = contents(paths.view("bipolar"))
    fresh = Paths(data=paths.data, artifacts=tmp_path / "fresh")
    fresh.validated.mkdir(parents=True)
    window_rows(range(10)).to_parquet(fresh.windows, index=False)
    stage.run(fresh, params, "bipolar")
    assert contents(fresh.view("bipolar")) == after
    assert FeatureStore.open(paths.view("bipolar"))[labels].tobytes() == before


def test_a_new_patient_changes_only_its_own_shard(paths, params):
    stage.run(paths, params, "bipolar")
    before = contents(paths.view("bipolar"))
    windows = window_rows(range(7))  # recording 7 is withdrawn: one patient's shard changes
    windows.to_parquet(paths.windows, index=False)
    stage.run(paths, params, "bipolar")
    after = contents(paths.view("bipolar"))
    shards = [name for name in after if name.startswith("shard-")]
    assert sum(after[name] != before.get(name) for name in shards) == 1


def test_votes_do_not_matter(paths, params, computed):
    stage.run(paths, params, "bipolar")
    before = contents(paths.view("bipolar"))
    computed.clear()
    window_rows(range(8)).assign(gpd_vote=9).to_parquet(paths.windows, index=False)
    stage.run(paths, params, "bipolar")
    assert not computed
    assert contents(paths.view("bipolar")) == before


def test_a_changed_recording_or_parameter_recomputes_what_it_touches(paths, params, computed):
    stage.run(paths, params, "spec_multi")
    computed.clear()
    os.replace(
        paths.data / "train_spectrograms" / "2003.parquet",
        paths.data / "train_spectrograms" / "2005.parquet",
    )
    write_recording(paths.data, 3)
    stage.run(paths, params, "spec_multi")
    assert sorted(computed) == [50, 51]
    changed = copy.deepcopy(params)
    changed.views["spec_multi"]["scale"]["mean"] = 0.0
    computed.clear()
    stage.run(paths, changed, "spec_multi")
    assert len(computed) == 16


def test_a_damaged_shard_is_made_again(paths, params):
    stage.run(paths, params, "bipolar")
    before = contents(paths.view("bipolar"))
    path = sorted(paths.view("bipolar").glob("shard-*"))[0]
    damaged = bytearray(path.read_bytes())
    damaged[-7] ^= 1
    path.write_bytes(damaged)
    (paths.view("bipolar") / "rubbish.tmp").write_text("left behind")
    stage.run(paths, params, "bipolar")
    assert contents(paths.view("bipolar")) == before


def test_hashes_of_validation_are_used(paths, params):
    ids = [("eeg", 1000 + k) for k in range(8)]
    table = pd.DataFrame(ids, columns=["kind", "id"]).assign(file_hash="a")
    table.to_parquet(paths.recordings)
    first = stage.run(paths, params, "bipolar")["data"]
    table.assign(file_hash="b").to_parquet(paths.recordings)
    assert stage.run(paths, params, "bipolar")["data"] != first


def test_views_of_the_same_data_have_the_same_data_hash(paths, params):
    both = params.views | {"differential": params.views["bipolar"]}
    params = params.model_copy(update={"views": both})
    first = stage.run(paths, params, "bipolar")["data"]
    assert stage.run(paths, params, "differential")["data"] == first
    assert stage.run(paths, params, "spec_multi")["data"] != first
    changed = copy.deepcopy(params)
    changed.views["bipolar"]["scale_uv"] = 64.0
    assert stage.run(paths, changed, "bipolar")["data"] == first
    window_rows(range(8)).assign(eeg_label_offset_seconds=1.0).to_parquet(paths.windows)
    assert stage.run(paths, params, "bipolar")["data"] != first


def test_the_index_has_three_columns_and_keys_lie_beside_it(paths, params):
    manifest = stage.run(paths, params, "bipolar")
    folder = paths.view("bipolar")
    assert list(pd.read_parquet(folder / "index.parquet")) == ["label_id", "shard", "row"]
    keys = pd.read_parquet(folder / "keys.parquet")
    assert list(keys) == ["shard", "row", "key"]
    assert keys["key"].is_unique
    assert manifest["keys"] == contents(folder)["keys.parquet"]


def test_damaged_keys_vouch_for_nothing(paths, params, computed):
    stage.run(paths, params, "bipolar")
    before = contents(paths.view("bipolar"))
    keys = pd.read_parquet(paths.view("bipolar") / "keys.parquet")
    keys["key"] = keys["key"].to_numpy()[::-1]
    keys.to_parquet(paths.view("bipolar") / "keys.parquet", index=False)
    computed.clear()
    stage.run(paths, params, "bipolar")
    assert len(computed) == 16
    assert contents(paths.view("bipolar")) == before


def test_files_that_a_view_does_not_need_are_not_read(paths, params, monkeypatch):
    stage.run(paths, params, "spec_multi")
    before = contents(paths.view("spec_multi"))
    for path in (paths.data / "train_eegs").iterdir():
        path.unlink()
    shutil.rmtree(paths.view("spec_multi"))
    stage.run(paths, params, "spec_multi")
    assert contents(paths.view("spec_multi")) == before


def test_a_second_writer_waits_and_finds_the_work_done(paths, params, computed):
    with ThreadPoolExecutor() as pool:
        with locked(paths.checkpoints / "features.lock"):
            second = pool.submit(stage.run, paths, params, "bipolar")
            assert wait([second], timeout=0.3).not_done
        second.result()
    assert len(computed) == 16


def test_the_next_view_finds_its_shards_finished(paths, params, computed, tmp_path):
    """Both end with the bytes of views that ran alone, and in one process."""
    stage.run(paths, params, "bipolar", ahead=True, workers=2)
    assert not paths.view("spec_multi").exists()
    stage.run(paths, params, "spec_multi", ahead=True)
    assert not computed
    alone = Paths(data=paths.data, artifacts=tmp_path / "alone")
    alone.validated.mkdir(parents=True)
    window_rows(range(8)).to_parquet(alone.windows, index=False)
    for view in params.views:
        stage.run(alone, params, view, workers=1)
        assert contents(alone.view(view)) == contents(paths.view(view))


def test_rows_left_by_an_earlier_run_move_into_more_shards(paths, params, computed, monkeypatch):
    """Shards of one name are written while their former rows are still to be copied."""
    stage.run(paths, params, "bipolar", ahead=True)
    computed.clear()
    monkeypatch.setattr(plan, "ROWS_PER_SHARD", 1)
    stage.run(paths, params, "spec_multi")
    assert not computed
    store = contents(paths.view("spec_multi"))
    shutil.rmtree(paths.view("spec_multi"))
    stage.run(paths, params, "spec_multi")
    assert contents(paths.view("spec_multi")) == store


def test_new_code_that_gives_the_same_values(paths, params, computed, monkeypatch):
    """Shards made ahead have the bytes of those that lie there, and other keys."""
    for view in params.views:
        stage.run(paths, params, view)
    before = contents(paths.view("spec_multi"))
    for edit in ("second", "third"):
        monkeypatch.setattr(update, "code_key", lambda *names, edit=edit: f"{names[-1]} {edit}")
        stage.run(paths, params, "bipolar", ahead=True)
    computed.clear()
    stage.run(paths, params, "spec_multi", ahead=True)
    assert not computed
    after = contents(paths.view("spec_multi"))
    assert before.keys() == after.keys()
    assert {n: h for n, h in before.items() if n.endswith(".npy")}.items() <= after.items()


def test_each_view_lacks_other_rows(paths, params, computed):
    """A new EEG and a new spectrogram: two windows each, and only of the view that reads it."""
    for view in params.views:
        stage.run(paths, params, view)
    for folder, number in (("train_eegs", 1002), ("train_spectrograms", 2004)):
        path = paths.data / folder / f"{number}.parquet"
        shutil.copy(path.with_stem(str(number + 1)), path)
    computed.clear()
    written = [stage.run(paths, params, view, ahead=True) for view in params.views]
    assert sorted(computed) == [20, 21, 40, 41]
    fresh = Paths(data=paths.data, artifacts=paths.artifacts.with_name("fresh"))
    fresh.validated.mkdir(parents=True)
    window_rows(range(8)).to_parquet(fresh.windows, index=False)
    assert [stage.run(fresh, params, view) for view in params.views] == written


@pytest.mark.parametrize("harm", ["file", "values", "parameters"])
def test_another_view_never_hinders_the_own(paths, params, harm, monkeypatch, caplog):
    if harm == "file":
        (paths.data / "train_spectrograms" / "2003.parquet").write_bytes(b"PAR1 damaged PAR1")
    if harm == "values":
        monkeypatch.setattr(VIEWS["spec_multi"].function, "__code__", broken.__code__)
    if harm == "parameters":
        params = params.model_copy(update={"views": params.views | {"spec_multi": {"banana": 1}}})
    stage.run(paths, params, "bipolar", ahead=True)
    assert len(FeatureStore.open(paths.view("bipolar"))) == 16
    assert ("left to their own stages" in caplog.text) == (harm != "parameters")
    assert not list(paths.checkpoints.rglob("unfinished-*"))
    with pytest.raises(InputError, match="spec_multi|parquet"):
        stage.run(paths, params, "spec_multi", ahead=True)


def broken(batch, **_):
    return batch.spectrogram * float("nan")


def test_processes_fit_the_memory(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(write, "cores", lambda: 64)
    for free, expected in ((64e9, 27), (8e9, 10), (1e9, 1), (1e8, 1)):
        monkeypatch.setattr(write, "free_memory", lambda free=free: free)
        assert write.n_workers(None, 10**6, cpu) == expected
    monkeypatch.setattr(write, "cores", lambda: 3)
    monkeypatch.setattr(write, "free_memory", lambda: 64e9)
    assert write.n_workers(None, 10**6, cpu) == 3
    assert write.n_workers(None, 10, cpu) == 1
    assert write.n_workers(7, 10, cpu) == 7


def test_what_is_missing_is_said(paths, params):
    with pytest.raises(InputError, match="device must be 'auto'"):
        stage.run(paths, params, "bipolar", device="banana")
    (paths.data / "train_eegs" / "1003.parquet").unlink()
    with pytest.raises(InputError, match=r"1003\.parquet"):
        stage.run(paths, params, "bipolar")
    paths.windows.unlink()
    with pytest.raises(InputError, match="Run `hms validate` first"):
        stage.run(paths, params, "bipolar")


def run_with_small_shards(paths, params, started):
    plan.ROWS_PER_SHARD, produce.CHUNK = 4, 1
    started.set()
    stage.run(paths, params, "bipolar")


def whole_or_refused(paths, calm):
    """The store opens and is the undisturbed run's, or is refused with what to do."""
    try:
        FeatureStore.open(paths.view("bipolar"))
    except InputError as err:
        return "Run `hms features bipolar`" in str(err)
    return contents(paths.view("bipolar")) == contents(calm.view("bipolar"))


@pytest.mark.slow
def test_killed_runs_leave_nothing_half_valid(paths, params, tmp_path):
    """kill -9 ten times at random; the next run ends with the bytes of an undisturbed one."""
    calm = Paths(data=paths.data, artifacts=tmp_path / "calm")
    calm.validated.mkdir(parents=True)
    window_rows(range(8)).to_parquet(calm.windows, index=False)
    began = time.perf_counter()
    stage.run(calm, params, "bipolar")
    whole_s = time.perf_counter() - began
    context = forked()
    for share in np.random.default_rng(0).uniform(0, 1.2, 10):
        started = context.Event()
        process = context.Process(target=run_with_small_shards, args=(paths, params, started))
        process.start()
        started.wait()
        time.sleep(share * whole_s)
        process.kill()
        process.join()
        assert whole_or_refused(paths, calm)
    stage.run(paths, params, "bipolar")
    assert contents(paths.view("bipolar")) == contents(calm.view("bipolar"))
