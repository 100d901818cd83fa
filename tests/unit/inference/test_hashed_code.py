"""What can be imported from a version is what its hashes cover."""

from __future__ import annotations

import importlib.util
import marshal
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hms_pipeline.inference.bundle import check_bundle
from hms_pipeline.registry.package import (
    BUNDLE,
    check_model,
    load_code,
    load_served,
    model_hashes,
    write_model,
)
from hms_pipeline.registry.scoring import open_bundle
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
    shutil.copytree(path, bundle.parent.parent.parent / "elsewhere")
    shutil.rmtree(path)
    path.symlink_to(bundle.parent.parent.parent / "elsewhere", target_is_directory=True)


def empty_folder(bundle: Path) -> None:
    (bundle / "code/package/torch").mkdir()


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
        with pytest.raises(InputError, match=r"was added|is a link"):
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
