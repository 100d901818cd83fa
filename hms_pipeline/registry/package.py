"""An ensemble as an MLflow model: models-from-code, safetensors, no pickle."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..config import Params, Paths
from ..data.encode import eeg_to_parquet
from ..inference.bundle import CHECKSUMS, files_below, first_difference
from ..schema import EEG_COLUMNS, SFREQ, VOTE_COLUMNS, WINDOW_SAMPLES
from ..system.errors import InputError
from ..system.files import hash_file, hash_files, hash_json, write_json
from ..tracking.store import quiet_mlflow
from .lineage import STATE, write_state

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

FILES = "files.json"
ENTRY = "model_code.py"
# MLflow's loading leaves this; ``load_served`` never reads it.
_ENTRY_CACHE = re.compile(rf"__pycache__/{Path(ENTRY).stem}\.[\w-]+\.pyc")
BUNDLE = Path("artifacts") / "bundle"
REQUIREMENTS = (
    "mlflow", "numpy", "scipy", "pandas", "pyarrow", "torch", "torchvision", "timm", "pydantic",
    "PyYAML", "safetensors",
)  # fmt: skip


def write_model(
    paths: Paths, params: Params, out: Path, card: str, lineage: Mapping[str, Any]
) -> Path:
    """Write the present ensemble as a model folder that MLflow loads.

    Parameters
    ----------
    paths : Paths
    params : Params
    out : Path
        A new folder.
    card : str
        The model card, Markdown.
    lineage : mapping
        What it came from; kept as ``lineage.json`` beside ``MLmodel``, with the hashes of the
        training's tables, which are written into ``training`` beside ``out``.
    """
    from ..inference.write import write_bundle, write_tables  # loads torch

    tables = out.with_name("training")
    tables.mkdir(parents=True)
    lineage = {**lineage, "tables": write_tables(paths, tables)}
    bundle = write_bundle(paths, params, out.with_name("bundle"), {"model_card.md": card})
    save_model(bundle, out)
    write_json(out / "lineage.json", dict(lineage))
    write_state(paths, out / STATE)
    write_json(out / FILES, _listed(out))
    return out


def save_model(bundle: Path, out: Path) -> None:
    """Write a model folder around a bundle, which moves into it."""
    stub = out.with_name("stub") / "bundle"
    stub.mkdir(parents=True)
    (stub / "bundle.json").touch()
    with _quiet_mlflow() as pyfunc:
        pyfunc.save_model(
            out,
            python_model=str(Path(__file__).parent / "serving" / ENTRY),
            artifacts={"bundle": str(stub)},
            signature=signature(),
            input_example=example(),
            pip_requirements=requirements(),
        )
    # MLflow would copy gigabytes of weights; the stub keeps their place instead.
    (out / BUNDLE / "bundle.json").unlink()
    (out / BUNDLE).rmdir()
    bundle.rename(out / BUNDLE)


def load_served(model: Path) -> Any:
    """Load a verified model folder the way a server does, but without any byte code in it."""
    with _quiet_mlflow() as pyfunc, _no_byte_code():
        return pyfunc.load_model(str(model))


def load_code(bundle: Path) -> ModuleType:
    """Import a bundle's own code under a private name, whatever version this package is."""
    with _quiet_mlflow():
        from .serving import model_code
    return model_code.load_code(bundle)


@contextmanager
def refusals_of(code: ModuleType) -> Iterator[None]:
    """Refusals by a bundle's own code come as this package's, which commands and flows expect."""
    try:
        yield
    except code.inference.predictor.InputError as err:
        raise InputError(str(err)) from None


@contextmanager
def _no_byte_code() -> Iterator[None]:
    """Imports compile what they read, from the sources, and leave nothing behind."""
    before = sys.pycache_prefix, sys.dont_write_bytecode
    with TemporaryDirectory() as empty:
        sys.pycache_prefix, sys.dont_write_bytecode = empty, True
        try:
            yield
        finally:
            sys.pycache_prefix, sys.dont_write_bytecode = before


@contextmanager
def _quiet_mlflow() -> Iterator[ModuleType]:
    """``mlflow.pyfunc`` without its advice on type hints and examples, nor its progress bars."""
    quiet_mlflow()
    import mlflow.pyfunc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield mlflow.pyfunc


def signature() -> ModelSignature:
    """Parquet bytes in, six doubles out, one option."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("binary", "eeg"), ColSpec("binary", "spectrogram", required=False)]),
        outputs=Schema([ColSpec("double", name) for name in VOTE_COLUMNS]),
        params=ParamSchema([ParamSpec("details", "boolean", False)]),
    )


def example() -> pd.DataFrame:
    """One row as a server takes it: a steady 10 Hz wave, no recording of a person."""
    t_s = np.arange(WINDOW_SAMPLES) / SFREQ
    wave = np.round(30 * np.sin(2 * np.pi * 10 * t_s))  # uV
    eeg = np.stack([np.roll(wave, k) for k in range(len(EEG_COLUMNS))])
    return pd.DataFrame({"eeg": [eeg_to_parquet(eeg)], "spectrogram": [b""]})


def requirements() -> list[str]:
    """The few packages that scoring needs, at the versions installed here."""
    return [f"{name}=={installed(name).split('+')[0]}" for name in REQUIREMENTS]


def _listed(model: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder but MLflow's own notes."""
    return {
        name: hash_file(path)
        for name, path in sorted(files_below(model).items())
        if name not in (FILES, "registered_model_meta") and not _ENTRY_CACHE.fullmatch(name)
    }


def model_hashes(model: Path) -> dict[str, str]:
    """Hashes of what a version is made of, for its tags.

    Returns
    -------
    dict
        ``files_sha256`` over everything, and of ``weights``, ``code`` and ``mlmodel``.
    """
    bundle = model / BUNDLE
    return {
        "files_sha256": hash_json(_listed(model)),
        "weights_sha256": hash_files((bundle / "weights").rglob("*.safetensors"), bundle),
        "code_sha256": hash_files((bundle / "code").rglob("*.py"), bundle),
        "mlmodel_sha256": hash_file(model / "MLmodel"),
    }


def check_model(model: Path, files_sha256: str) -> None:
    """Compare every file of a model folder with what was registered.

    Parameters
    ----------
    model : Path
    files_sha256 : str
        The version's tag.

    Raises
    ------
    InputError
        Something is missing, changed or added; it is named where the list itself is intact.
    """
    if not (model / BUNDLE / CHECKSUMS).exists():
        raise InputError(
            "A version needs its model folder, but the files are not there. Use another version."
        )
    found = _listed(model)
    if hash_json(found) == files_sha256:
        return
    raise InputError(
        "A version's files must be as they were registered, but"
        f" {_first_difference(model, found)}. Use another version, or register again."
    )


def _first_difference(model: Path, found: Mapping[str, str]) -> str:
    try:
        listed = json.loads((model / FILES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{FILES} cannot be read"
    if hash_json(listed) == hash_json(found):
        return f"the list {FILES} itself was changed"
    return first_difference(listed, found) or "they differ"
