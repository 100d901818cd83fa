"""The registered model as MLflow loads it; stands alone, next to the bundle it was packaged with.

The scoring code travels in the bundle. It is imported under a private name made of its hash, so
that neither an installed package nor another version of the model can take its place.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import sys
import threading
from pathlib import Path
from types import ModuleType
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
    """
    files = {name: sha for name, sha in _checksums(bundle).items() if name.startswith(CODE)}
    name = "_hms_" + hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]
    with _importing:
        module = sys.modules.get(name)
        if module is None or not Path(module.__path__[0]).is_dir():
            module = _import(name, bundle / CODE)
        importlib.import_module(f"{name}.inference.serving")
    return module


def _import(name: str, folder: Path) -> ModuleType:
    for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[loaded]
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def check_files(bundle: Path) -> None:
    """Compare every file with its checksum before anything of the bundle is used."""
    for name, sha in sorted(_checksums(bundle).items()):
        path = bundle / name
        if not path.is_file():
            raise _refusal(f"The model's file {name} is missing. Register the model again.")
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha:
                raise _refusal(
                    f"The model's file {name} is not as it was registered. Use another version,"
                    " or register the model again."
                )


def check_package(bundle: Path) -> None:
    """Refuse where another version of the package is imported already."""
    package = sys.modules.get(PACKAGE)
    if package is None or getattr(package, "__file__", None) is None:
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
    """An error whose sentence stays as it is: MLflow's server overwrites what predict raises by
    one that repeats the request's data."""

    @property
    def message(self) -> str:
        return self._sentence

    @message.setter
    def message(self, text: str) -> None:
        if not hasattr(self, "_sentence"):
            self._sentence = text


def _refusal(message: str) -> Refusal:
    return Refusal(message, error_code=INVALID_STATE)


def harden() -> None:
    """Make MLflow's server answer 400 to bodies that it cannot parse and fails on with 500."""
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None or hasattr(server.invocations, "hardened"):
        return
    answer = server.invocations

    def invocations(data: Any, content_type: Any, model: Any, input_schema: Any) -> Any:
        try:
            return answer(data, content_type or "none", model, input_schema)
        except MlflowException:
            raise
        except Exception:
            raise Refusal(
                "The request's body cannot be read. Send what the model's schema says.",
                error_code=INVALID_PARAMETER_VALUE,
            ) from None

    invocations.hardened = True
    server.invocations = invocations


class Ensemble(PythonModel):
    """Answers MLflow's requests with the bundle's own Predictor."""

    def load_context(self, context: Any) -> None:
        """Verify the files, import the code, load the networks."""
        harden()
        bundle = Path(context.artifacts["bundle"])
        check_files(bundle)
        check_package(bundle)
        self._code = load_code(bundle)
        self._predictor = self._code.inference.predictor.Predictor.open(bundle)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        """Six probabilities a row; the caller's faults are 400, ours 500, neither with a path."""
        try:
            return self._code.inference.serving.score_frame(self._predictor, model_input, params)
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
