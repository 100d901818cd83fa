"""The model in a process of its own: a checked body goes in, an answer comes out."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from ...system.processes import release_memory
from ..package import load_served
from .bodies import Limits, RefusedError, unfit
from .pool import Scored


class Scorer:
    """Answers one request at a time, as MLflow's own server does.

    Parameters
    ----------
    model : PyFuncModel
    members : iterable of str
        All of the ensemble's.
    """

    def __init__(self, model: Any, members: Iterable[str]) -> None:
        self._model, self._members = model, set(members)
        self._schema = model.metadata.get_input_schema()
        self.observed: list[pd.DataFrame] = []  # the answer, with ``members_used``

    def answer(self, kind: str, body: bytearray) -> Scored:
        """What a checked body gets.

        Raises
        ------
        RefusedError
        """
        self.observed.clear()
        try:
            found = scoring_server.invocations(body, kind, self._model, self._schema)
        except MlflowException as err:
            sentence = getattr(err, "_sentence", None)  # the model's own; MLflow's repeat the data
            if sentence is None:
                raise unfit() from None
            reason = "model" if err.get_http_status_code() < 500 else "failure"
            raise RefusedError(err.get_http_status_code(), reason, sentence) from None
        except Exception:  # MLflow's parsing of what is no table
            raise unfit() from None
        finally:
            release_memory()
        used = [set(row.split("; ")) for table in self.observed for row in table["members_used"]]
        left_out = Counter(name for row in used for name in self._members - row)
        return Scored(found.response.encode(), len(used), left_out)


@cache
def _scorer(folder: Path) -> tuple[Scorer, Any]:
    """The one of a process, and its bundle."""
    sys.dont_write_bytecode = True  # a version of older code would leave some in its folder
    with _alone():
        model = load_served(folder)
    ensemble = model.unwrap_python_model()
    bundle = ensemble._predictor.bundle  # noqa: SLF001 - stored versions call it so
    scorer = Scorer(model, bundle.members)
    ensemble.observe = scorer.observed.append
    return scorer, bundle


def load(folder: Path, n_bytes: int) -> tuple[str, Limits]:
    """Load a model; its hash, and the limits of a request whose body has so many bytes."""
    bundle = _scorer(folder)[1]
    cell = int(bundle.params.registry.max_cell_mb * 2**20)
    return bundle.content_hash, Limits(n_bytes, bundle.params.scoring.max_rows, cell)


def answer(folder: Path, kind: str, body: bytearray) -> Scored:
    """What a checked body gets.

    Raises
    ------
    RefusedError
    """
    return _scorer(folder)[0].answer(kind, body)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hide this package: a model refuses to share a process with other code than its own.

    It may share this one, since its code has a name of its own and meets only bytes and tables.
    """
    name = __name__.partition(".")[0]
    package = sys.modules.pop(name)
    try:
        yield
    finally:
        sys.modules[name] = package
