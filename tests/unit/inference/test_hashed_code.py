"""What can be imported from a version is what its hashes cover."""

from __future__ import annotations

import importlib.util
import marshal
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import pytest

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import run
from hms_pipeline.config import Paths
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.inference.bundle import check_bundle
from hms_pipeline.registry import api, scoring, stage
from hms_pipeline.registry.package import (
    BUNDLE,
    check_model,
    load_code,
    load_served,
    model_hashes,
    write_model,
)
from hms_pipeline.registry.scoring import open_bundle
from hms_pipeline.registry.versions import Registry
from hms_pipeline.system.errors import InputError

from ...ensembles import random_window

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def original(maker, tmp_path_factory) -> Path:
    return write_model(
        maker.paths, maker.params, tmp_path_factory.mktemp("model") / "model", "card", {}
    )


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "model")


def plant(source: Path) -> Path:
    """Byte code that is valid whatever its source says (PEP 552), and tells when it runs."""
    text = source.read_text() + "\nimport sys\nsys.planted = True\n"
    cache = Path(importlib.util.cache_from_source(str(source)))
    cache.parent.mkdir(exist_ok=True)
    checked = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
    code = marshal.dumps(compile(text, str(source), "exec"))
    cache.write_bytes(checked + importlib.util.source_hash(source.read_bytes()) + code)
    return cache


def byte_code(bundle: Path) -> None:
    plant(bundle / "code/package/schema.py")


def extra_module(bundle: Path) -> None:
    (bundle / "code/package/signal/zz.py").write_text("import sys\nsys.planted = True\n")


def shadowing_package(bundle: Path) -> None:
    (bundle / "code/package/numpy").mkdir()
    (bundle / "code/package/numpy/__init__.py").write_text("import sys\nsys.planted = True\n")


def compiled_module(bundle: Path) -> None:
    cache = plant(bundle / "code/package/schema.py")
    cache.rename(bundle / "code/package/signal/schema.pyc")
    cache.parent.rmdir()


def link_to_file(bundle: Path) -> None:
    path = bundle / "code/package/schema.py"
    path.rename(bundle.parent / "elsewhere.py")
    path.symlink_to(bundle.parent / "elsewhere.py")


def link_to_folder(bundle: Path) -> None:
    path = bundle / "code/package/signal"
    elsewhere = Path(mkdtemp(dir=bundle.parents[2])) / "signal"
    path.rename(elsewhere)
    path.symlink_to(elsewhere, target_is_directory=True)


def empty_folder(bundle: Path) -> None:
    (bundle / "code/package/torch").mkdir()


ADDED = re.compile("was added|is a link")
PLANTS = [
    byte_code, extra_module, shadowing_package, compiled_module, link_to_file, link_to_folder,
    empty_folder,
]  # fmt: skip


@pytest.mark.parametrize("plant_it", PLANTS, ids=lambda f: f.__name__)
def test_nothing_added_is_loaded_in_any_way(
    model: Path, plant_it: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "planted", False, raising=False)
    tag = model_hashes(model)["files_sha256"]
    check_model(model, tag)
    plant_it(model / BUNDLE)
    for load in (
        lambda: check_bundle(model / BUNDLE),
        lambda: open_bundle(model / BUNDLE, device="cpu"),
        lambda: check_model(model, tag),
    ):
        with pytest.raises(InputError, match=ADDED):
            load()
    with pytest.raises(Exception, match="was not registered"):
        plain_load(model)
    assert not sys.planted


def plain_load(model: Path) -> object:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(model))


def test_byte_code_of_the_entry_file_is_never_run_by_hms(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "planted", False, raising=False)
    tag = model_hashes(model)["files_sha256"]
    plant(model / "model_code.py")
    check_model(model, tag)  # MLflow leaves such a file, which is no reason to refuse
    served = load_served(model)
    assert not sys.planted
    assert served.metadata.get_input_schema().input_names() == ["eeg", "spectrogram"]


def test_loading_leaves_the_folder_as_it_was(model: Path) -> None:
    before = sorted(model.rglob("*"))
    load_served(model)
    code = load_code(model / BUNDLE)
    code.inference.predictor.Predictor.open(model / BUNDLE, device="cpu").predict(
        [random_window(1)]
    )
    assert sorted(model.rglob("*")) == before


def test_byte_code_is_not_even_looked_at(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted after the check: the import compiles the bytes that it has hashed itself."""
    monkeypatch.setattr(sys, "planted", False, raising=False)
    bundle = model / BUNDLE
    for name in [key for key in sys.modules if key.startswith("_hms_")]:
        monkeypatch.delitem(sys.modules, name)
    for source in (bundle / "code/package").rglob("*.py"):
        plant(source)
    code = load_code(bundle)
    assert code.schema.__file__ == str(bundle / "code/package/schema.py")
    assert not sys.planted
    (bundle / "code/package/schema.py").write_text("raise SystemExit")
    for name in [key for key in sys.modules if key.startswith("_hms_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(Exception, match=r"schema\.py is not as it was registered"):
        load_code(bundle)


@pytest.fixture(scope="module")
def project(maker, tmp_path_factory) -> Paths:
    """A project with a champion and a file to score."""
    root = tmp_path_factory.mktemp("registered") / "project"
    shutil.copytree(maker.paths.params.parent, root)
    paths = Paths(root / "data", root / "artifacts", root / "params.yaml")
    assert stage.run(paths, maker.with_gate())["champion"] == 1
    (root / "w.parquet").write_bytes(eeg_to_parquet(random_window(1).eeg))
    return paths


BY_NUMBER = (
    "score w.parquet", "score w.parquet --model 1", "score w.parquet --model champion",
    "submission given", "submission given --model models:/hms-ensemble@champion", "export out.zip",
    "serve", "serve --model 1",
)  # fmt: skip
BY_FOLDER = ("score w.parquet", "submission given", "export out.zip")


@pytest.mark.slow
@pytest.mark.parametrize("plant_it", PLANTS, ids=lambda f: f.__name__)
def test_every_command_refuses_what_was_planted(
    project: Paths, plant_it: Callable, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """By a version, by a bundle's folder, by the flows' own call; before MLflow loads anything."""
    discover(commands.__name__, list(commands.__path__))
    monkeypatch.chdir(project.params.parent)
    monkeypatch.setattr(sys, "planted", False, raising=False)
    monkeypatch.setattr("mlflow.pyfunc.load_model", None)
    folder = Registry.open(project).folder(Registry.open(project).get(1))
    kept = shutil.copytree(folder, project.params.parent / "kept")
    plant_it(folder / BUNDLE)
    given = project.params.parent / "given"
    given.mkdir(exist_ok=True)
    (given / "test.csv").write_text("spectrogram_id,eeg_id,patient_id\n1,1,1\n")
    try:
        ways = [*BY_NUMBER, *(f"{command} --model {folder / BUNDLE}" for command in BY_FOLDER)]
        for way in ways:
            assert run(way.split()) == 2, way
            (line,) = capsys.readouterr().err.splitlines()
            assert ADDED.search(line), (way, line)
        for call in (scoring.open_predictor, api.bundle_of, api.model_of):
            with pytest.raises(InputError, match=ADDED):
                call(project)
        assert ADDED.search(api.describe(project, 1)["damaged"])
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
    assert not sys.planted
    with capsys.disabled():
        print(f"{plant_it.__name__}: refused in {len(ways) + 4} ways")  # noqa: T201
