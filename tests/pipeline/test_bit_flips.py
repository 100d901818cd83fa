"""One bit turned in every kind of file that is kept: the same result, or a sentence.

``HMS_FLIPS=20 python -m pytest tests/pipeline/test_bit_flips.py -s`` prints the table of
docs/how-to/operations.md; ``HMS_FLIPS`` says how often a bit is turned in each kind.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from hms_pipeline.config import Paths
from hms_pipeline.config.keys import code_key, present_keys, write_keys
from hms_pipeline.config.members import STARTER_FOLDER
from hms_pipeline.ensemble.check import check_ensemble
from hms_pipeline.ensemble.stage import results_table
from hms_pipeline.features.plan import plan_rows
from hms_pipeline.features.shards import find_known
from hms_pipeline.features.store import FeatureStore
from hms_pipeline.features.store import read_manifest as read_view
from hms_pipeline.features.views import build_view
from hms_pipeline.inference.export import write_zip
from hms_pipeline.registry import api, stage
from hms_pipeline.registry.package import FILES
from hms_pipeline.registry.scoring import open_bundle
from hms_pipeline.registry.tables import training_tables
from hms_pipeline.registry.versions import Registry
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.scoring.batch import _known
from hms_pipeline.scoring.inbox import read_inbox_scores
from hms_pipeline.scoring.units import save_part
from hms_pipeline.student import stage as student
from hms_pipeline.student import teacher
from hms_pipeline.system.errors import InputError, StaleError
from hms_pipeline.system.files import hash_file, read_sealed, read_table, write_sealed, write_table
from hms_pipeline.training.checkpoint import Checkpoint
from hms_pipeline.training.finished import find_finished, link_fold, read_checked, read_manifest

from ..ensembles import Maker, random_window

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FLIPS = int(os.environ.get("HMS_FLIPS", "6"))
SAID = (InputError, StaleError, MlflowException, SQLAlchemyError, sqlite3.Error, UnicodeError)
UNZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError)  # what unpacking says


class State:
    """Stands for a training's state, of which a checkpoint is made."""

    def __init__(self) -> None:
        self.weights = {"a": torch.arange(64.0), "b": torch.ones(3)}

    def tensors(self) -> dict[str, torch.Tensor]:
        return self.weights

    def load(self, stored: dict[str, torch.Tensor]) -> None:
        self.weights = dict(stored)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A project with a champion, finished folds, checkpoints and kept scores."""
    torch.set_num_threads(1)
    maker = Maker(tmp_path_factory.mktemp("flips") / "project", n_patients=6)
    maker.vote(maker.train(1))
    maker.blend()
    assert stage.run(maker.paths, maker.with_gate())["champion"] == 1
    paths = maker.paths
    write_sealed(paths.validated / "summary.json", {"counts": {"window": {"all": 3}}})
    quarantine = pd.DataFrame({"kind": ["eeg"], "id": ["1"], "rule": ["dead"], "detail": ["Fz"]})
    write_table(paths.quarantine, quarantine)
    for path in (paths.windows, paths.folds):
        write_table(path, read_table(path))
    recordings = {"kind": "eeg", "id": read_table(paths.windows)["eeg_id"], "file_hash": "c"}
    write_table(paths.recordings, pd.DataFrame(recordings))
    maker.vote(maker.train(1))
    maker.blend()
    stage.run(paths, maker.with_gate())
    link_fold(paths.fold("eegnet", 0), paths.finished / "key")
    Checkpoint(paths.checkpoints / "key").save(State(), [{"epoch": 1}])
    write_keys(paths, present_keys(maker.params))
    staged = shutil.copytree(paths.view("bipolar"), paths.checkpoints / "features" / "bipolar")
    for shard in read_view(staged)["shards"]:
        note = {"keys": ["a", "b"], "sha256": shard["sha256"]}
        write_sealed(staged / Path(shard["file"]).with_suffix(".json"), note)
    heard = np.random.default_rng(0).random((2, 2, 5, 6), dtype=np.float32)
    teacher._write(paths.checkpoints / "teacher" / "kept-0.safetensors", heard)
    student._write_summary(paths.student.ensemble, {"kl": 0.5, "teacher": 0.4})
    shutil.copytree(STARTER_FOLDER, paths.artifacts / "starter")
    write_zip(api.bundle_of(paths)[1], paths.artifacts / "export.zip")
    fetched(maker)
    votes = {column: [0.25] for column in VOTE_COLUMNS}
    scores = pd.DataFrame({"id": ["a"], "start_s": [0.5], **votes, "error": [None]})
    save_part(paths.artifacts / "part.parquet", scores)
    save_part(paths.artifacts / "scores" / "a.parquet", scores.assign(content_hash="b"))
    with closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return maker


def ensemble(maker: Maker) -> object:
    made = check_ensemble(maker.paths, maker.params)
    return made.weights, made.metrics["ensemble"], made.table.to_numpy().tolist()


def features(maker: Maker) -> object:
    stores = [FeatureStore.open(maker.paths.view(view)) for view in maker.params.views]
    return [np.asarray(s[s.label_ids]).tobytes() for s in stores], [
        s.manifest["statistics"] for s in stores
    ]


def finished(maker: Maker) -> object:
    folder = maker.paths.finished / "key"
    kept = folder.with_name("kept")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept)  # a damaged one is removed
    try:
        found = find_finished(folder, read_manifest(maker.paths.fold("eegnet", 0))["inputs"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        kept.rename(folder)
    if found is None:
        raise InputError("trained again")
    return found


def checkpoint(maker: Maker) -> object:
    state = State()
    state.weights = {"a": torch.zeros(64), "b": torch.zeros(3)}
    history = Checkpoint(maker.paths.checkpoints / "key").load(state)
    if not history:
        raise InputError("training starts anew")
    return history, {name: values.tolist() for name, values in state.weights.items()}


def part(maker: Maker) -> object:
    table = _known(maker.paths.artifacts / "part.parquet")
    if table.empty:
        raise InputError("scored again")
    return table.to_dict()


def version(maker: Maker) -> object:
    number, bundle = api.bundle_of(maker.paths)
    registry = Registry.open(maker.paths)
    tables = training_tables(registry, registry.get(number))
    files = [p for p in (*bundle.parents[1].rglob("*"), *tables.rglob("*")) if p.is_file()]
    # The list is no result: it only helps to name what differs from the hash over all.
    return number, sorted(hash_file(path) for path in files if path.name != FILES)


def fetched(maker: Maker) -> object:
    """The copy that is made of a version where the store is on another machine."""
    with (
        patch("hms_pipeline.registry.versions.folder_of", return_value=None),
        patch("hms_pipeline.registry.versions.log.warning") as warned,
    ):
        registry = Registry.open(maker.paths)
        folder = registry.verify(registry.get(1))
    if warned.called:
        raise InputError("fetched again")
    return sorted(hash_file(path) for path in folder.rglob("*") if path.is_file())


def origin(maker: Maker) -> object:
    facts = api.describe(maker.paths, 1)
    if "damaged" in facts:
        raise InputError(facts["damaged"])
    return facts


def keys(maker: Maker) -> object:
    return [code_key(maker.paths, maker.params, stage) for stage in ("validate", "ensemble")]


def quality(maker: Maker) -> object:
    view = build_view(maker.params, "bipolar")
    return plan_rows(maker.paths, view, "code")["key"].tolist()


def staged(maker: Maker) -> object:
    folder = maker.paths.checkpoints / "features" / "bipolar"
    known = find_known(folder.with_name("none"), folder, 1)
    if len(known) < len(list(folder.glob("*.npy"))):
        raise InputError("computed again")
    return [hash_file(shard.path) for shard in known], [shard.keys for shard in known]


def heard(maker: Maker) -> object:
    answers = teacher._read(maker.paths.checkpoints / "teacher" / "kept-0.safetensors")
    if answers is None:
        raise InputError("the teacher answers again")
    return answers.tolist()


def starter(maker: Maker) -> object:
    return answer(maker.paths.artifacts / "starter")


def exported(maker: Maker) -> object:
    with TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(maker.paths.artifacts / "export.zip") as archive:
                archive.extractall(folder)
        except UNZIP as err:
            raise InputError("The zip cannot be unpacked.") from err
        return answer(Path(folder))


def answer(bundle: Path) -> object:
    return open_bundle(bundle, device="cpu").predict([random_window(1)]).probs.tolist()


def inbox(maker: Maker) -> object:
    return read_inbox_scores(maker.paths.artifacts / "scores").to_dict()


def list_of_versions(maker: Maker) -> object:
    """Of a copy each time: an open connection would go on with what it has read."""
    root = maker.paths.params.parent
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(root / "mlruns", copy / "mlruns")
        paths = Paths(root / "data", copy / "artifacts", maker.paths.params)
        return api.list_versions(paths), api.model_of(paths)[0]


def histories(maker: Maker) -> object:
    folders = sorted(maker.paths.members.glob("*/*"))
    return [read_checked(folder, read_manifest(folder), "history.csv") for folder in folders]


def read(name: str) -> Callable[[Maker], object]:
    def use(maker: Maker) -> object:
        path = maker.paths.artifacts / name
        return read_sealed(path, "x") if path.suffix == ".json" else read_table(path).to_dict()

    return use


RUN = "mlruns/artifacts/**"
KINDS: dict[str, tuple[str, Callable[[Maker], object]]] = {
    "keys": ("artifacts/keys.yaml", keys),
    "kept windows": ("artifacts/validated/windows.parquet", ensemble),
    "quarantine": ("artifacts/validated/quarantine.parquet", read("validated/quarantine.parquet")),
    "validation's summary": ("artifacts/validated/summary.json", read("validated/summary.json")),
    "recordings' quality": ("artifacts/validated/recordings.parquet", quality),
    "folds": ("artifacts/split/folds.parquet", ensemble),
    "features: manifest": ("artifacts/features/*/manifest.json", features),
    "features: index, keys": ("artifacts/features/*/*.parquet", features),
    "features: shards": ("artifacts/features/*/*.npy", features),
    "features, unfinished": ("artifacts/.checkpoints/features/bipolar/shard*", staged),
    "fold: manifest": ("artifacts/members/*/*/manifest.json", ensemble),
    "fold: predictions": ("artifacts/members/*/*/oof.parquet", ensemble),
    "fold: history": ("artifacts/members/*/*/history.csv", histories),
    "finished fold, every file": ("artifacts/.folds/key/*", finished),
    "checkpoint": ("artifacts/.checkpoints/key/*", checkpoint),
    "teacher's answers": ("artifacts/.checkpoints/teacher/*", heard),
    "student's summary": ("artifacts/student/*", lambda m: student.read_summary(m.paths)),
    "ensemble: weights": ("artifacts/ensemble/weights.json", ensemble),
    "ensemble: metrics": ("artifacts/ensemble/metrics.json", lambda m: results_table(m.paths)),
    "ensemble: predictions": ("artifacts/ensemble/oof.parquet", ensemble),
    "registration": ("artifacts/registration.json", read("registration.json")),
    "kept scores": ("artifacts/part.parquet", part),
    "scores of an inbox": ("artifacts/scores/*", inbox),
    "starter": ("artifacts/starter/**/*", starter),
    "export": ("artifacts/export.zip", exported),
    "fetched version": ("mlruns/fetched/**/*.[pjyms]*", fetched),
    "version: origin": (f"{RUN}/model/lineage.json", origin),
    "version: weights": (f"{RUN}/bundle/weights/**/*.safetensors", version),
    "version: code": (f"{RUN}/bundle/code/**/*.py", version),
    "version: other files": (f"{RUN}/model/**/*.[jym]*", version),
    "version: training's tables": (f"{RUN}/training/*.parquet", version),
    "ledger": ("mlruns/ledger.jsonl", version),
    "database": ("mlruns/mlflow.db", list_of_versions),
}  # fmt: skip
TABLE: dict[str, Counter] = {}


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    for kind, found in TABLE.items():
        sys.stdout.write(f"| {kind} | {found['said']} | {found['same']} | {found['silent']} |\n")


def files(root: Path, pattern: str) -> list[Path]:
    found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
    assert found, pattern
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_turned_bit_is_said_or_changes_nothing(maker: Maker, kind: str) -> None:
    pattern, use = KINDS[kind]
    root = maker.paths.params.parent
    rng, found = np.random.default_rng(len(kind)), Counter()
    there = files(root, pattern)
    expected = use(maker)
    for _ in range(FLIPS):
        path = there[rng.integers(len(there))]
        sound = path.read_bytes()
        turned = bytearray(sound)
        place = rng.choice(np.flatnonzero(np.frombuffer(sound, np.uint8)))  # much may be empty
        turned[place] ^= 1 << int(rng.integers(8))
        replace(path, bytes(turned))
        try:
            outcome = "same" if use(maker) == expected else "silent"
        except SAID:
            outcome = "said"
        finally:
            replace(path, sound)
        found[outcome] += 1
    TABLE[kind] = found
    assert found["silent"] == 0


def replace(path: Path, content: bytes) -> None:
    """As another file, since finished folds and views share their bytes by links."""
    path.unlink()
    path.write_bytes(content)
