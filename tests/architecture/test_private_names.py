"""What is private to another library is used in one file, and fails here when a release changes."""

import importlib
import inspect
import re
import tomllib
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# Library → the one file that uses what is private to it, and what that file alone may name.
HOMES = {
    "dvc": (
        "flows/dvc_process.py",
        r"\b_dump_data\b|\bof_dvc\._run\b|didn't change, skipping|is cached - skipping",
    ),
    "timm": ("hms_pipeline/models/image_encoder.py", r"\b_gen_efficientnet"),
    "mne": (
        "hms_pipeline/data/formats/mne_raw.py",
        r"\b_orig_units\b|\b_raw_extras\b|pip install \(",
    ),
    "torch": ("hms_pipeline/training/state.py", r"\b_foreach_"),
    "torch._dynamo": ("hms_pipeline/system/compiler.py", r"\bis_compile_supported\b"),
    "mlflow": ("hms_pipeline/registry/serving/scorer.py", r"\bscoring_server\b"),
    "great_expectations": ("hms_pipeline/validation/docs.py", r"<footer\\b"),
}
SIGNATURES = {
    "dvc.utils.serialize._common._dump_data": "path data dumper fs dumper_args",
    "dvc.stage.run._run": "executable cmd kwargs",
    "timm.models.efficientnet._gen_efficientnet": (
        "variant channel_multiplier depth_multiplier channel_divisor group_size pretrained kwargs"
    ),
    "timm.models.efficientnet._gen_efficientnetv2_s": (
        "variant channel_multiplier depth_multiplier group_size rw pretrained kwargs"
    ),
    "mlflow.pyfunc.scoring_server.invocations": "data content_type model input_schema",
}
# Held by tests: the private loops of torch's own optimizers, and what stands in for its compiler.
OPEN = {"torch", "torch._dynamo"}


@pytest.mark.parametrize("library", HOMES)
def test_private_names_stand_in_one_file(library: str) -> None:
    home, names = HOMES[library]
    files = [*(ROOT / "hms_pipeline").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    using = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(names, path.read_text(encoding="utf-8"))
    }
    assert using == {home}


@pytest.mark.parametrize("library", sorted(HOMES.keys() - OPEN))
def test_releases_are_bounded(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    stated = [
        found
        for found in map(Requirement, [*project["dependencies"], *extras])
        if found.name.replace("-", "_") == library
    ]
    assert stated
    for requirement in stated:
        assert requirement.specifier.contains(version(library))
        assert any(clause.operator in ("==", "<") for clause in requirement.specifier)


@pytest.mark.parametrize("name", SIGNATURES)
def test_private_functions_take_what_they_took(name: str) -> None:
    module, _, function = name.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints
        signature = inspect.signature(getattr(importlib.import_module(module), function))
    assert " ".join(signature.parameters) == SIGNATURES[name]
