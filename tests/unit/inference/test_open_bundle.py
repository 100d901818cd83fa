"""A bundle's folder is verified before anything of it is used."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.registry.scoring import open_bundle
from hms_pipeline.system.errors import InputError

from ...ensembles import random_window


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundle, tmp_path / "copy")


def test_a_whole_bundle_scores(copy: Path) -> None:
    window = random_window(1)
    probs = open_bundle(copy, device="cpu").predict([window]).probs
    expected = Predictor.open(copy, device="cpu").predict([window]).probs
    np.testing.assert_array_equal(probs, expected)


def test_a_flipped_bit_is_refused(copy: Path) -> None:
    path = copy / "weights" / "eegnet" / "fold-1.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"eegnet/fold-1\.safetensors was changed"):
        open_bundle(copy, device="cpu")


def test_altered_code_is_refused_and_not_imported(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if registered by other code than this package's, so that its own would be imported.
    monkeypatch.setattr("hms_pipeline.registry.scoring.carries_this_code", lambda _: False)
    for path in (copy / "code" / "package").rglob("__init__.py"):
        path.write_text("raise SystemExit")
    before = set(sys.modules)
    with pytest.raises(InputError, match=r"__init__\.py was changed"):
        open_bundle(copy, device="cpu")
    assert not [name for name in set(sys.modules) - before if name.startswith("_hms_")]


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs a bundle\.json, but"):
        open_bundle(tmp_path, device="cpu")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}"])
def test_a_broken_list_of_checksums_is_refused(copy: Path, content: bytes) -> None:
    (copy / "checksums.json").write_bytes(content)
    with pytest.raises(InputError, match=r"checksums\.json needs to be JSON"):
        open_bundle(copy, device="cpu")


@pytest.mark.filterwarnings("ignore:.*type hint")
def test_refusals_of_carried_code_are_this_packages(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hms_pipeline.registry.scoring.carries_this_code", lambda _: False)
    with pytest.raises(InputError, match="device"):
        open_bundle(copy, device="cuda:7")
    predictor = open_bundle(copy, device="cpu")
    with pytest.raises(InputError, match="needs shape"):
        predictor.predict([replace(random_window(1), eeg=np.zeros((3, 3)))])
