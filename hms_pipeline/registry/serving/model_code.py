"""The registered model as MLflow loads it; stands alone, next to the bundle it was packaged with.

The scoring code travels in the bundle. It is imported from the bytes that were hashed, under a
private name made of their hash, so that no installed package, no other version of the model and no
byte code can take its place.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, INVALID_STATE
from mlflow.pyfunc import PythonModel

log = logging.getLogger(__name__)
PACKAGE = "hms_pipeline"
CODE = "code/package/"
_importing = threading.Lock()


class HashedCode(InspectLoader, MetaPathFinder):
    """Imports a bundle's code from the very bytes that were hashed.

    Byte code and files that lie beside the sources are never looked at.

    Parameters
    ----------
    name : str
        The private name of the package.
    folder : Path
        Where its sources lie; in traces only.
    sources : mapping of str to bytes
        Path below ``folder`` → content.
    """

    def __init__(self, name: str, folder: Path, sources: Mapping[str, bytes]) -> None:
        self.name, self.folder, self.sources = name, folder, sources

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Every module under the private name is one of the sources, or is none."""
        if fullname != self.name and not fullname.startswith(f"{self.name}."):
            return None
        if self._source(fullname) is None:
            raise ModuleNotFoundError(f"The model's code has no {fullname}.", name=fullname)
        return spec_from_file_location(fullname, self.get_filename(fullname), loader=self)

    def _source(self, fullname: str) -> str | None:
        place = fullname.removeprefix(self.name).removeprefix(".").replace(".", "/")
        choices = (f"{place}/__init__.py".lstrip("/"), f"{place}.py")
        return next((choice for choice in choices if choice in self.sources), None)

    def is_package(self, fullname: str) -> bool:
        """Whether a module has others below it."""
        return Path(self._source(fullname) or "").name == "__init__.py"

    def get_filename(self, fullname: str) -> str:
        """Where a module's source lies."""
        return str(self.folder / (self._source(fullname) or ""))

    def get_source(self, fullname: str) -> str:
        """A module's source as it was hashed."""
        return decode_source(self.sources[self._source(fullname) or ""])

    def get_code(self, fullname: str) -> CodeType:
        """The same, compiled."""
        return self.source_to_code(self.get_source(fullname), self.get_filename(fullname))


def load_code(bundle: Path) -> ModuleType:
    """Import a bundle's own code under its private name, once per process.

    Parameters
    ----------
    bundle : Path
        The bundle's folder.

    Returns
    -------
    module
        The package; ``inference.predictor`` and ``inference.serving`` are imported in it.

    Raises
    ------
    Refusal
        A source is not as its checksum says.
    """
    files = {name: sha for name, sha in _checksums(bundle).items() if name.startswith(CODE)}
    name = "_hms_" + hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]
    with _importing:
        module = sys.modules.get(name)
        if module is None or not Path(module.__path__[0]).is_dir():
            sources = {
                file.removeprefix(CODE): _read(bundle, file, sha) for file, sha in files.items()
            }
            _forget(name)
            sys.meta_path.insert(0, HashedCode(name, bundle / CODE, sources))
        importlib.import_module(f"{name}.inference.serving")
    return sys.modules[name]


def _forget(name: str) -> None:
    for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[loaded]
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "name", "") != name]


def _read(bundle: Path, name: str, sha: str) -> bytes:
    content = (bundle / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha:
        raise _changed(name)
    return content


def check_files(bundle: Path) -> None:
    """Compare every file with its checksum before anything of the bundle is used.

    Raises
    ------
    Refusal
        A file is changed, missing, added or a link, or a folder was added.
    """
    listed = _checksums(bundle)
    folders = {parent.as_posix() for name in listed for parent in Path(name).parents}
    for folder, inner, files in os.walk(bundle):
        place = Path(folder).relative_to(bundle)
        for name in (*inner, *files):
            inside = (place / name).as_posix()
            known = folders if name in inner else {*listed, "checksums.json"}
            if inside not in known or (bundle / inside).is_symlink():
                raise _refusal(
                    f"The model's folder holds {inside}, which was not registered. Delete it, or"
                    " use another version."
                )
    for name, sha in sorted(listed.items()):
        path = bundle / name
        if not path.is_file():
            raise _refusal(f"The model's file {name} is missing. Register the model again.")
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha:
                raise _changed(name)


def _changed(name: str) -> Refusal:
    return _refusal(
        f"The model's file {name} is not as it was registered. Use another version, or register"
        " the model again."
    )


def check_package(bundle: Path) -> None:
    """Refuse where another version of the package is imported already."""
    package = sys.modules.get(PACKAGE)
    if package is None or package.__file__ is None:
        return
    root = Path(package.__file__).parent
    for name, sha in _checksums(bundle).items():
        path = root / name.removeprefix(CODE)
        if name.startswith(CODE) and (
            not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha
        ):
            raise _refusal(
                f"This model carries its own version of {PACKAGE}, but another one is imported"
                " in this process. Load the model in a process of its own, or score with"
                " hms score, which keeps the two apart."
            )


def _checksums(bundle: Path) -> dict[str, str]:
    return json.loads((bundle / "checksums.json").read_text(encoding="utf-8"))


class Refusal(MlflowException):
    """An error whose sentence stays as it is.

    MLflow's server overwrites what predict raises by one that repeats the request's data.
    """

    @property
    def message(self) -> str:
        """The sentence, as it was raised."""
        return self._sentence

    @message.setter
    def message(self, text: str) -> None:
        if not hasattr(self, "_sentence"):
            self._sentence = text


def _refusal(message: str) -> Refusal:
    return Refusal(message, error_code=INVALID_STATE)


class Ensemble(PythonModel):
    """Answers MLflow's requests with the bundle's own Predictor.

    ``observe``, where a server sets it, is called with every answer, details included.
    """

    observe: Callable[[pd.DataFrame], None] | None = None

    def load_context(self, context: Any) -> None:
        """Verify the files, import the code, load the networks."""
        bundle = Path(context.artifacts["bundle"])
        check_files(bundle)
        check_package(bundle)
        self._code = load_code(bundle)
        self._predictor = self._code.inference.predictor.Predictor.open(bundle)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        """Six probabilities a row; the caller's faults are 400, ours 500, neither with a path."""
        wanted = bool((params or {}).get("details"))
        try:
            table = self._code.inference.serving.score_frame(
                self._predictor, model_input, {"details": True}
            )
            if self.observe is not None:
                self.observe(table)
            return table if wanted else table.drop(columns=["members_used", "warnings"])
        except self._code.inference.predictor.InputError as err:
            raise Refusal(str(err), error_code=INVALID_PARAMETER_VALUE) from None
        except Exception:
            log.exception("predict failed")
            raise Refusal(
                "The model failed on this request, by no fault of the caller's. The server's log"
                " says why.",
                error_code=INTERNAL_ERROR,
            ) from None


set_model(Ensemble())
