"""An archive on many machines: each content once, whatever dies on the way."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.reading import Reader
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.scoring import archive
from hms_pipeline.scoring.archive import Job, score_archive
from hms_pipeline.scoring.batch import score_inputs
from hms_pipeline.system.cluster import connect, own_code, spread
from hms_pipeline.system.errors import InputError, LostError
from hms_pipeline.system.files import to_json

from ...recordings import noise
from ...scorer import ROOT, Scorer, scoring

N = 20
HASHES = {"a": "a" * 64, "b": "b" * 64}


def open_scorer(name: str) -> Scorer:
    return Scorer(content_hash=HASHES[name])


def job(out: Path, name: str = "a", opens: str | None = None) -> Job:
    return Job(partial(open_scorer, opens or name), HASHES[name], out, scoring())


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_opened", {})
    monkeypatch.setattr(archive, "ReadingProcess", Reader)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of a window or a little more at two depths, a copy, and a damaged file."""
    root = tmp_path_factory.mktemp("archive")
    (root / "1999" / "ward").mkdir(parents=True)
    for number in range(N):
        place = root / "1999" / ("ward" if number % 2 else "") / f"{number:02}.parquet"
        eeg = noise(seconds=50 + 10 * (number % 3), seed=number).astype(np.float32)
        place.write_bytes(eeg_to_parquet(eeg))
    shutil.copy(root / "1999" / "04.parquet", root / "copy.parquet")
    (root / "Wintergreen.edf").write_bytes(b"no recording")
    return root


class Machines:
    """A cluster in this process: items go there as bytes and come back in another order."""

    def __init__(self, lost: Callable[[Any], bool] = lambda item: False, stop: int = 10**9) -> None:
        self.calls: list[list[Any]] = []
        self._lost, self._stop = lost, stop

    def __call__(
        self, function: Callable[[Any], Any], items: Sequence[Any]
    ) -> Iterator[tuple[Any, Any]]:
        assert items  # Spark refuses to run a function on nothing
        for item in reversed(items):
            if len(self.calls) >= self._stop:
                raise KeyboardInterrupt
            self.calls.append(item)
            function, sent = pickle.loads(pickle.dumps((function, item)))
            if any(map(self._lost, sent)):
                yield item, LostError("it was lost")
            else:
                yield item, function(sent)

    def scored(self) -> list[str]:
        """Keys of the recordings that were sent for scoring."""
        return [one[0] for batch in self.calls for one in batch if isinstance(one, tuple)]


def test_the_data_set_holds_what_one_process_scores(folder: Path, tmp_path: Path) -> None:
    machines = Machines()
    done: list[tuple[int, int]] = []
    summary = score_archive(
        job(tmp_path / "set"), [folder], machines, lambda *now: done.append(now)
    )
    assert (summary.n_failed, summary.n_resumed, done[-1]) == (1, 0, (N + 1, N + 1))
    assert "Wintergreen" not in str(summary.failed)
    assert len(set(machines.scored())) == len(machines.scored()) == N + 1
    table = pd.read_parquet(tmp_path / "set")
    assert set(table["content_hash"]) == {HASHES["a"]}
    good = table[table["error"].isna()].sort_values(["id", "start_s"], ignore_index=True)
    assert len(good) == summary.n_scored
    files = list(folder.rglob("??.parquet"))
    single = score_inputs(Scorer(), files, tmp_path / "one.parquet", scoring()).out
    contents = {path.stem: Reader().identify(path)[:12] for path in files}
    expected = pd.read_parquet(single)
    expected["id"] = [f"{stem}-{contents[stem]}" for stem in expected["id"]]
    expected = expected.sort_values(["id", "start_s"], ignore_index=True)
    columns = ["id", "start_s", *VOTE_COLUMNS, "members_used"]
    pd.testing.assert_frame_equal(good[columns], expected[columns], check_dtype=False)


def test_a_second_run_scores_nothing_and_another_model_all(folder: Path, tmp_path: Path) -> None:
    first = score_archive(job(tmp_path), [folder], Machines())
    again = Machines()
    second = score_archive(job(tmp_path), [folder], again)
    assert (second.n_scored, second.n_resumed, again.scored()) == (0, N + 1, [])
    with pytest.raises(InputError, match="have another section `scoring`, --rename"):
        score_archive(replace(job(tmp_path), rename={"X1": "Fp1"}), [folder], Machines())
    other = score_archive(job(tmp_path, "b"), [folder], Machines())
    assert (other.n_scored, other.n_resumed) == (first.n_scored, 0)
    assert pd.read_parquet(tmp_path)["model"].nunique() == 2


@pytest.mark.parametrize("stop", [0, 2, 4, 5])
def test_a_killed_run_goes_on(folder: Path, tmp_path: Path, stop: int) -> None:
    """The first three calls name the recordings, the next three score them."""
    with pytest.raises(KeyboardInterrupt):
        score_archive(job(tmp_path), [folder], Machines(stop=stop))
    there = {path.stem for path in tmp_path.rglob("*.parquet")}
    again = Machines()
    summary = score_archive(job(tmp_path), [folder], again)
    assert summary.n_resumed == len(there) == (0 if stop < 4 else (stop - 3) * 8 - 3)
    assert {key[:32] for key in again.scored()}.isdisjoint(there)
    assert len(list(tmp_path.rglob("*.parquet"))) == N + 1


def test_a_recording_that_ends_its_machine_costs_no_neighbour(folder: Path, tmp_path: Path) -> None:
    def lost(one: Any) -> bool:
        return isinstance(one, tuple) and one[1].name == "07.parquet"

    summary = score_archive(job(tmp_path), [folder], Machines(lost))
    assert [why for _, why in summary.failed].count("it was lost") == 1
    assert len(list(tmp_path.rglob("*.parquet"))) == N
    assert score_archive(job(tmp_path), [folder], Machines()).n_resumed == N


def test_a_table_of_an_attempt_that_died_counts(folder: Path, tmp_path: Path) -> None:
    """The batch is placed again; what its first attempt had written is not scored again."""
    paths = sorted((folder / "1999").glob("*.parquet"))[:4]
    batch = [(Reader().identify(path), path) for path in paths]
    first = archive.score_batch(job(tmp_path), batch[:2])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    whole = archive.score_batch(job(tmp_path), batch)
    assert whole[0] > first[0] > 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_files_of_one_name_have_ids_of_their_own(tmp_path: Path) -> None:
    for seed, ward in enumerate(("east", "west")):
        path = tmp_path / ward / "1.parquet"
        path.parent.mkdir()
        path.write_bytes(eeg_to_parquet(noise(seconds=50, seed=seed).astype(np.float32)))
    score_archive(job(tmp_path / "set"), [tmp_path / "east", tmp_path / "west"], Machines())
    ids = pd.read_parquet(tmp_path / "set")["id"]
    assert len(ids) == ids.nunique() == 2
    assert all(name.startswith("1-") for name in ids)


def test_a_data_set_has_ids_of_one_kind(folder: Path, tmp_path: Path) -> None:
    """In an earlier release they did not end with the content's hash."""
    score_archive(job(tmp_path), [folder], Machines(stop=10))
    (settings,) = tmp_path.rglob("_settings.json")
    earlier = json.loads(settings.read_text(encoding="utf-8"))
    del earlier["ids"]
    settings.write_text(to_json(earlier), encoding="utf-8")
    with pytest.raises(InputError, match=r"ids of an earlier release\. Give another --out"):
        score_archive(job(tmp_path), [folder], Machines(stop=0))


def test_what_cannot_be_scored_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs the model a{16}, but opens b{16}"):
        score_archive(job(tmp_path, opens="b"), [folder], Machines())
    with pytest.raises(InputError, match="does not exist"):
        score_archive(job(tmp_path), [folder / "none"], Machines())
    with pytest.raises(InputError, match="hold none"):
        score_archive(job(tmp_path), [tmp_path], Machines())


def slow_scorer(name: str) -> Scorer:
    time.sleep(1.0)  # so that a node can be killed while batches run
    return open_scorer(name)


@pytest.mark.slow
def test_a_node_of_a_ray_cluster_is_killed(folder: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        connect(cluster.address, env=own_code(ROOT))
        slow = Job(partial(slow_scorer, "a"), HASHES["a"], tmp_path, scoring())

        def killing(n: int, _: int) -> None:
            if n and node in cluster.worker_nodes:
                cluster.remove_node(node, allow_graceful=False)

        summary = score_archive(slow, [folder], spread(ray, retries=3), killing)
        assert node not in cluster.worker_nodes
        assert summary.n_failed == 1
        assert len(list(tmp_path.rglob("*.parquet"))) == N + 1
    finally:
        ray.shutdown()
        cluster.shutdown()
